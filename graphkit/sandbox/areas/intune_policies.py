"""What all collections of Intune policies have in common, told once: a collection is a declaration.

Create, list, get, change, delete, ``/assign``, ``/assignments`` and ``$expand=assignments``. The pages are
api-reference/v1.0/api/intune-*-create.md and so on; what they do not tell is from the threads cited below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from graphkit.sandbox.areas.intune_assignments import ASSIGNED, Assignments
from graphkit.sandbox.areas.intune_words import find, model_error, read, refuse
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import INTUNE, INTUNE_WRITE, Need
from graphkit.sandbox.query.listing import Expand, Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import Type, check_required, find_enum, find_type

NEVER = "0001-01-01T00:00:00Z"
"""What Intune says for a time that never was."""
ABSTRACT = frozenset(["deviceCompliancePolicy", "deviceConfiguration", "managedAppPolicy"])
PAGE = 1000
"""microsoftgraph/powershell-intune-samples#2: "a default limit of 1000 items in the response"."""
DEFAULT_TAGS = ["0"]

Rule = Callable[[Call, Json, Json | None], Json]
"""Told the policy as it is to be stored and as it was (``None`` at creation), gives back what is stored."""


def counted(_: Call, before: Any) -> Any:
    return (before or 0) + 1


def stamped(call: Call, _: Any) -> Any:
    """Of app protection policies: opaque text, new at each change."""
    return f'"{call.tenant.new_id()}"'


def no_rule(_: Call, policy: Json, __: Json | None) -> Json:
    return policy


def no_hindrance(_: Call, __: Json) -> None:
    """Most policies can be deleted at any time, assigned or not."""


def new_id(call: Call) -> str:
    return call.tenant.new_id()


@dataclass(frozen=True)
class Collection:
    """``page`` begins the names of its pages; ``assignment`` is the type of an assignment, ``""`` if it has none;
    ``answers`` tells whether ``/assign`` gives the new set back or nothing. ``tags`` is the property that holds scope
    tags, which only beta shows.
    """

    path: str
    type: str
    page: str
    assignment: str = ""
    answers: bool = True
    beta_only: bool = False
    read: Need = INTUNE
    write: Need = INTUNE_WRITE
    version: Callable[[Call, Any], Any] | None = None
    name: str = "displayName"
    tags: str = "roleScopeTagIds"
    rule: Rule = no_rule
    expands: dict[str, Expand] = field(default_factory=dict)
    key: Callable[[Call], str] = new_id
    before_delete: Callable[[Call, Json], None] = no_hindrance

    @property
    def table(self) -> str:
        return self.path.rpartition("/")[2]


class Policies:
    """The endpoints of one collection."""

    def __init__(self, of: Collection) -> None:
        self.of = of
        expands: dict[str, Expand] = dict(of.expands)
        if of.assignment:
            self.assignments = Assignments(of.path, of.assignment, of.table, answers=of.answers)
            expands["assignments"] = self.assignments.shown
            ASSIGNED.append(of.table)
        self.kind = Kind(of.path.lstrip("/"), of.type, expands=expands, page=PAGE, max_page=PAGE)

    def routes(self) -> Routes:
        of, routes = self.of, Routes(beta_only=self.of.beta_only)
        one = of.path + "/{policy}"
        routes.get(of.path, of.read, page=f"{of.page}-list")(self.show_all)
        routes.post(of.path, of.write, page=f"{of.page}-create")(self.create)
        routes.get(one, of.read, page=f"{of.page}-get")(self.show_one)
        routes.patch(one, of.write, page=f"{of.page}-update")(self.update)
        routes.delete(one, of.write, page=f"{of.page}-delete")(self.delete)
        if of.assignment:
            page = f"{of.page.rpartition('-')[0]}-{of.assignment.lower()}"
            routes.post(one + "/assign", of.write, page=f"{of.page}-assign")(self.assign)
            routes.get(one + "/assignments", of.read, page=f"{page}-list")(self.list_assignments)
            routes.get(one + "/assignments/{assignment}", of.read, page=f"{page}-get")(self.get_assignment)
        return routes

    def find(self, call: Call) -> Json:
        return find(call, self.of.table, call.params["policy"])

    def show_all(self, call: Call) -> Reply:
        return listing(call, self.kind, call.tenant.state.table(self.of.table).in_order())

    def show_one(self, call: Call) -> Reply:
        return entity(call, self.kind, self.find(call))

    def create(self, call: Call) -> Reply:
        """Names are not unique, so a repeated POST makes a second policy."""
        body, found = read(call, call.json, self.of.type)
        if found.name in ABSTRACT:
            raise model_error("Cannot create an abstract class.")
        check_required(body, found, code="BadRequest")
        policy = {**defaults(found.name), **self._own(call, body), "id": self.of.key(call), "_created": call.now}
        if found.name != self.of.type:
            policy["@odata.type"] = f"#microsoft.graph.{found.name}"
        if self.of.assignment:
            policy["assignments"] = []  # sent along, they are passed over (assumption): assign is the way
        policy = self._stamp(call, self.of.rule(call, policy, None), None)
        call.tenant.state.put(self.of.table, policy)
        call.tenant.replication.created(call.now)
        return entity(call, self.kind, policy, status=201)

    def update(self, call: Call) -> Reply:
        """``@odata.type`` is needed where the collection has heirs (microsoftgraph/microsoft-graph-docs#5517)."""
        policy = self.find(call)
        body, found = read(call, call.json, self.of.type)
        self._check_change(call, policy, body, found)
        return entity(call, self.kind, self.change(call, policy, body))

    def _check_change(self, call: Call, policy: Json, body: Json, found: Type) -> None:
        if found.name in ABSTRACT:
            raise model_error("Cannot create an abstract class.")
        if policy.get("@odata.type", f"#microsoft.graph.{self.of.type}") != f"#microsoft.graph.{found.name}":
            raise refuse(call, "The platform of a policy cannot be changed once created.")
        for name in body:
            if found.properties.get(name, "").startswith(">"):
                # microsoftgraph/powershell-intune-samples#286
                raise model_error(
                    f"Cannot apply PATCH to navigation property '{name}' on entity type "
                    f"'microsoft.management.services.api.{found.name}'."
                )
        if not body:
            # microsoftgraph/msgraph-sdk-powershell#1417: what was sent held nothing that the service knows
            raise refuse(call, "Invalid patch, at least 1 property must be changed.")

    def change(self, call: Call, policy: Json, changes: Json) -> Json:
        """Store the policy with these changes, and give it back."""
        changed = self.of.rule(call, {**policy, **self._own(call, changes, policy)}, policy)
        changed = self._stamp(call, changed, policy)
        call.tenant.state.put(self.of.table, changed)
        return changed

    def _own(self, call: Call, body: Json, before: Json | None = None) -> Json:
        """What the body sets, with scope tags checked; what links to other objects is left out."""
        if body.get(self.of.name, before) in (None, ""):
            raise refuse(call, f"The property '{self.of.name}' must have a value.")
        own = {n: v for n, v in body.items() if n not in ("assignments", "groupAssignments", "supportsScopeTags")}
        if body.get("supportsScopeTags"):
            # microsoftgraph/microsoft-graph-docs#4003: true is refused, false is accepted and shown as true
            raise refuse(call)
        if self.of.tags in body:
            own[self.of.tags] = _checked_tags(call, body[self.of.tags], before)
        return own

    def _stamp(self, call: Call, policy: Json, before: Json | None) -> Json:
        now = instant(call.now)
        made = policy if before is None else before
        times = {"createdDateTime": made.get("createdDateTime") if before else now, "lastModifiedDateTime": now}
        stamped = {**policy, **{name: at for name, at in times.items() if name in policy}}
        if self.of.version:
            stamped["version"] = self.of.version(call, before.get("version") if before else None)
        return stamped

    def delete(self, call: Call) -> Reply:
        policy = self.find(call)
        self.of.before_delete(call, policy)
        call.tenant.state.delete(self.of.table, policy["id"])
        return Reply(204)

    def assign(self, call: Call) -> Reply:
        return self.assignments.assign(call, self.find(call))

    def list_assignments(self, call: Call) -> Reply:
        return self.assignments.show_all(call, self.find(call))

    def get_assignment(self, call: Call) -> Reply:
        return self.assignments.show_one(call, self.find(call))


def _checked_tags(call: Call, tags: list[str], before: Json | None) -> list[str]:
    """An empty list means the default at creation and is refused in a change (almenscorner/IntuneCD#218)."""
    if not tags and before is not None:
        raise refuse(call)
    known = call.tenant.state.table("roleScopeTags").objects
    unknown = [tag for tag in tags if tag not in known]
    if unknown:
        # Micke-K/IntuneManagement#401 shows these words for a tag that the role may not use.
        raise refuse(call, f"Added a tag which is not allowed by the current role: {unknown[0]}")
    return list(tags) or list(DEFAULT_TAGS)


@cache
def _filled(type_name: str) -> Json:
    found, in_v1 = find_type(type_name, "beta"), find_type(type_name)
    old = in_v1.properties if in_v1 else {}
    properties = found.properties if found else {}
    return {name: _default(kind, new=name not in old) for name, kind in properties.items() if not kind.startswith(">")}


_ZEROS: Json = {"Boolean": False, "DateTimeOffset": NEVER, "Duration": "PT0S", "Int32": 0, "Int64": 0, "Double": 0}


def _default(kind: str, *, new: bool) -> Any:
    """What cannot be null is false, zero or the first member of its enumeration. What only beta has is told without
    that mark: its truth values and enumerations are never null in published exports, its numbers often are.
    """
    name = kind.rstrip("!")
    if name.startswith("*"):
        return []
    enum = find_enum(name, "beta")
    if kind.endswith("!"):
        return enum["members"][0] if enum else _ZEROS.get(name)
    if new:
        return enum["members"][0] if enum else False if name == "Boolean" else None
    return None


def defaults(type_name: str) -> Json:
    """What the service fills in. It is the same for both versions; v1.0 shows less of it."""
    filled = {name: list(value) if isinstance(value, list) else value for name, value in _filled(type_name).items()}
    for name in ("roleScopeTagIds", "roleScopeTags"):
        if name in filled:
            filled[name] = list(DEFAULT_TAGS)
    if "supportsScopeTags" in filled:
        filled["supportsScopeTags"] = True
    return filled
