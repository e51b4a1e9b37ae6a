"""The lifecycle policy of Microsoft 365 groups: one for the tenant.

api-reference/v1.0/api/grouplifecyclepolicy-*.md. Expiry is told (``expirationDateTime``) and not carried out.
"""

from __future__ import annotations

from graphkit.sandbox.areas.group_rules import is_unified
from graphkit.sandbox.areas.groups import find
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, not_found
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import DIRECTORY, GROUP_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.rules.group_expiry import is_managed, lifecycle_policy
from graphkit.sandbox.schema.check import check, check_writable

routes = Routes()

POLICY_KIND = Kind("groupLifecyclePolicies", "groupLifecyclePolicy")
WRITE = ("Directory.ReadWrite.All",)
SHORTEST_DAYS = 30  # assumption: the page gives no figure, the admin centre takes 31 and more
MOST_GROUPS = 500
KINDS = ("All", "Selected", "None")


def _find(call: Call) -> Json:
    found = call.tenant.state.get("groupLifecyclePolicies", call.params["policy"].lower())
    if found is None:
        raise not_found(call.params["policy"])
    return found


@routes.get("/groupLifecyclePolicies", DIRECTORY, page="grouplifecyclepolicy-list")
def list_policies(call: Call) -> Reply:
    return listing(call, POLICY_KIND, call.tenant.state.table("groupLifecyclePolicies").in_order())


@routes.post("/groupLifecyclePolicies", WRITE, page="grouplifecyclepolicy-post-grouplifecyclepolicies")
def create_policy(call: Call) -> Reply:
    given = _read(call, {"alternateNotificationEmails": None})
    if lifecycle_policy(call.tenant.state):
        # microsoftgraph/microsoft-graph-docs#4013; the status is an assumption
        raise Refusal(400, "MaxExpirationPoliciesCountReached", "Tenant already has maximum allowed 1 policy")
    policy = {"id": call.tenant.new_id(), **given}
    call.tenant.state.put("groupLifecyclePolicies", policy)
    return entity(call, POLICY_KIND, policy, status=201)


def _read(call: Call, known: Json) -> Json:
    """The policy that a body comes to. Raises :class:`Refusal`, in our own words."""
    check_writable(call.json, check(call.json, "groupLifecyclePolicy", call.version))
    merged = {**known, **{name: value for name, value in call.json.items() if "@" not in name}}
    days = merged.get("groupLifetimeInDays")
    if days is None or days < SHORTEST_DAYS:
        raise bad_request(f"groupLifetimeInDays is required and must be {SHORTEST_DAYS} or more.")
    if merged.get("managedGroupTypes") not in KINDS:
        raise bad_request("managedGroupTypes is required and must be All, Selected or None.")
    return merged


@routes.get("/groupLifecyclePolicies/{policy}", DIRECTORY, page="grouplifecyclepolicy-get")
def get_policy(call: Call) -> Reply:
    return entity(call, POLICY_KIND, _find(call))


@routes.patch("/groupLifecyclePolicies/{policy}", WRITE, page="grouplifecyclepolicy-update")
def update_policy(call: Call) -> Reply:
    """200 with the policy, unlike most updates."""
    policy = _read(call, _find(call))
    call.tenant.state.put("groupLifecyclePolicies", policy)
    return entity(call, POLICY_KIND, policy)


@routes.delete("/groupLifecyclePolicies/{policy}", WRITE, page="grouplifecyclepolicy-delete")
def delete_policy(call: Call) -> Reply:
    policy = _find(call)
    state = call.tenant.state
    for group in list(state.linked("lifecycleGroups", policy["id"])):
        state.unlink("lifecycleGroups", policy["id"], group)
    state.delete("groupLifecyclePolicies", policy["id"])
    return Reply(204)


def _named_group(call: Call) -> Json:
    key = str(call.json.get("groupId") or "").lower()
    group = call.tenant.state.get("groups", key)
    if group is None:
        raise not_found(key)
    return group


def _told(call: Call, *, done: bool) -> Reply:
    return Reply(200, {"@odata.context": call.context("Edm.Boolean"), "value": done})


@routes.post("/groupLifecyclePolicies/{policy}/addGroup", WRITE, page="grouplifecyclepolicy-addgroup")
def add_group(call: Call) -> Reply:
    """``false``, and nothing done, unless the policy is for selected groups; assumption: for other kinds of groups,
    too."""
    policy, group = _find(call), _named_group(call)
    taken = call.tenant.state.linked("lifecycleGroups", policy["id"])
    if policy["managedGroupTypes"] != "Selected" or not is_unified(group):
        return _told(call, done=False)
    if group["id"] not in taken:
        if len(taken) >= MOST_GROUPS:
            raise bad_request(f"A policy for selected groups holds {MOST_GROUPS} groups at most.")
        call.tenant.state.link("lifecycleGroups", policy["id"], group["id"])
    return _told(call, done=True)


@routes.post("/groupLifecyclePolicies/{policy}/removeGroup", WRITE, page="grouplifecyclepolicy-removegroup")
def remove_group(call: Call) -> Reply:
    policy, group = _find(call), _named_group(call)
    present = group["id"] in call.tenant.state.linked("lifecycleGroups", policy["id"])
    if present:
        call.tenant.state.unlink("lifecycleGroups", policy["id"], group["id"])
    return _told(call, done=present)


@routes.post("/groupLifecyclePolicies/renewGroup", GROUP_WRITE, page="grouplifecyclepolicy-renewgroup")
def renew_group(call: Call) -> Reply:
    call.tenant.state.put("groups", {**_named_group(call), "renewedDateTime": instant(call.now)})
    return Reply(204)


@routes.get("/groups/{group}/groupLifecyclePolicies", DIRECTORY, page="group-list-grouplifecyclepolicies")
def list_policies_of_group(call: Call) -> Reply:
    group, state = find(call), call.tenant.state
    found = [policy for policy in state.table("groupLifecyclePolicies").objects.values()
             if is_managed(state, group, policy)]  # fmt: skip
    return listing(call, POLICY_KIND, list(found))
