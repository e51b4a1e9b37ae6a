"""Whom a policy is for. ``/assign`` REPLACES the whole set (microsoft/Intune-PowerShell-SDK#70)."""

from __future__ import annotations

from graphkit.sandbox.areas.intune_words import MODEL, absent, refuse, seen
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.schema.check import check, find_type, is_guid

EVERYONE = {
    # Groups that exist in no directory: ids of assignments end in them (microsoftgraph/msgraph-beta-sdk-dotnet#118).
    "allLicensedUsersAssignmentTarget": "acacacac-9df4-4c7d-9d50-4ef0226f57a9",
    "allDevicesAssignmentTarget": "adadadad-808e-44e2-905a-0b7873a8a531",
}
GROUPS = ("groupAssignmentTarget", "exclusionGroupAssignmentTarget")
FILTER_ID = "deviceAndAppManagementAssignmentFilterId"
FILTER_TYPE = "deviceAndAppManagementAssignmentFilterType"
ASSIGNED: list[str] = []
"""The tables of policies that can be assigned."""


class Assignments:
    """The assignments of one collection's policies. ``answers``: whether ``/assign`` gives the new set back."""

    def __init__(self, path: str, type_name: str, table: str, *, answers: bool) -> None:
        self._type = type_name
        self._table = table
        self._answers = answers
        self._kind = Kind(f"{path.lstrip('/')}/assignments", type_name)

    def shown(self, call: Call, policy: Json) -> list[Json]:
        return [seen(call, item, self._type) for item in policy.get("assignments") or []]

    def show_all(self, call: Call, policy: Json) -> Reply:
        return listing(call, self._kind, list(policy.get("assignments") or []))

    def show_one(self, call: Call, policy: Json) -> Reply:
        for item in policy.get("assignments") or []:
            if item["id"] == call.params["assignment"]:
                return entity(call, self._kind, item)
        raise absent(call)

    def assign(self, call: Call, policy: Json) -> Reply:
        """Of two entries for one target the later is ignored (MG-Cloudflow/Intune-Toolkit#57)."""
        entries = call.json.get("assignments")
        if not isinstance(entries, list):
            raise refuse(call, "The parameter 'assignments' is missing.")
        assignments: dict[str, Json] = {}
        for entry in entries:
            check(entry, self._type, call.version, code=MODEL)
            made = self._read(call, policy, entry)
            assignments.setdefault(made["id"], made)
        changed = {**policy, "assignments": list(assignments.values())}
        if "isAssigned" in policy:
            changed["isAssigned"] = any("exclusion" not in a["target"]["@odata.type"] for a in assignments.values())
        call.tenant.state.put(self._table, changed)
        if not self._answers:
            return Reply(204)
        return Reply(
            200, {"@odata.context": call.context(f"Collection({self._type})"), "value": self.shown(call, changed)}
        )

    def _read(self, call: Call, policy: Json, entry: Json) -> Json:
        target = dict(entry.get("target") or {})
        kind = str(target.get("@odata.type", "")).rpartition(".")[2]
        if kind not in EVERYONE and kind not in GROUPS:
            # Collections of Configuration Manager too: there is none beside this tenant.
            raise refuse(call)
        group = EVERYONE.get(kind) or target.get("groupId")
        if not is_guid(group):
            # Kvikku/IntuneAssignments#16. Whether such a group exists is not asked (assumption).
            raise refuse(call, f"Invalid GroupId : {group} provided, a valid AADGroupId is expected.")
        target = {"@odata.type": f"#microsoft.graph.{kind}", **_checked_filter(call, target)}
        if kind in GROUPS:
            target["groupId"] = group
        made = {"id": f"{policy['id']}_{group}", "source": "direct", "sourceId": policy["id"], "intent": "apply"}
        known = find_type(self._type, "beta")
        return {**{n: v for n, v in made.items() if known and n in known.properties}, "target": target}


def _checked_filter(call: Call, target: Json) -> Json:
    """Only beta knows assignment filters; there every target says which it has, if none."""
    key, kind = target.get(FILTER_ID), target.get(FILTER_TYPE) or "none"
    if kind == "none" or not key:
        return {FILTER_ID: None, FILTER_TYPE: "none"}
    if call.tenant.state.get("assignmentFilters", key) is None:
        # Micke-K/IntuneManagement#373
        raise refuse(call, f"Scope Tags validation failed : Filters {key} , Validated filters ")
    return {FILTER_ID: key, FILTER_TYPE: kind}


def uses_of_filter(call: Call, key: str) -> list[str]:
    """The ids of the policies that are assigned with this filter."""
    tables = [call.tenant.state.table(name).objects.values() for name in ASSIGNED]
    return [
        policy["id"]
        for table in tables
        for policy in table
        if any(entry["target"].get(FILTER_ID) == key for entry in policy.get("assignments") or ())
    ]
