"""people.leavers: from the last day on, in stages: access ends, ownership is handed over, what is held is released."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.scheduled import scheduled
from recipes.people.people import Leaver, Page, page_of, people, today_of

STAGES = {
    0: "disabled, signed out, ownership handed over",
    7: "out of all groups, licences released, devices retired",
    30: "deleted",
}
"""Days after the last one, and what happens then."""


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """Whatever is due of whoever leaves; the next stage stands in the plan with its day."""
    page, today = page_of(inputs), today_of(options)
    listed: Counter[str] = Counter()
    places: dict[str, Origin] = {}
    for origin, person in people(inputs, Leaver, options):
        places.setdefault(person.org, origin)
        ends = person.end_date
        listed[person.org] += ends is None or ends + timedelta(days=7) > today
        if ends is None:
            continue
        due = [days for days in STAGES if ends + timedelta(days=days) <= today]
        if due:
            yield from _leaves(person, max(due), page, origin)
        for days in [days for days in STAGES if days not in due][:1]:
            yield scheduled(person.employee_id, origin, ends + timedelta(days=days), STAGES[days])
    for org, origin in places.items():
        rails = {"org": org, "max_leaving_pct": page.max_leaving_pct}
        properties = {"listed": listed[org]}
        yield Desired(kind="workforce", key=org, origin=origin, properties=properties, rails=rails)


def _leaves(person: Leaver, stage: int, page: Page, origin: Origin) -> Iterator[Desired]:
    key, rails = person.employee_id, {"org": person.org}
    account = {"employeeId": key, "accountEnabled": False}
    yield Desired(kind="user", key=key, origin=origin, properties=account, rails={**rails, "must_exist": True})
    yield Desired(
        kind="user.sessions",
        key=key,
        origin=origin,
        properties={"person": key, "since": f"{person.end_date}T00:00:00Z"},
        needs=(("user", key),),
        rails=dict(rails),
    )
    yield Desired(
        kind="leaver",
        key=key,
        origin=origin,
        properties={
            "stage": stage,
            "successor": person.manager_employee_id or "",
            "fallback": page.owner_fallback or "",
            "devices": page.retire_devices,
        },
        rails=rails,
    )


RECIPE = Recipe(
    name="people.leavers",
    summary="Leavers in stages: disabled and ownership handed over, released after 7 days, deleted after 30",
    permissions=(
        "User.EnableDisableAccount.All",
        "User.RevokeSessions.All",
        "Group.ReadWrite.All",
        "LicenseAssignment.ReadWrite.All",
        "DeviceManagementManagedDevices.Read.All",
        "DeviceManagementManagedDevices.PrivilegedOperations.All",
        "User.DeleteRestore.All",
    ),
    desired=desired,
    template="leavers.csv",
    given_with=("leavers.people.yaml",),
    models=(Page, Leaver),
    options=("org", "allow_irreversible", "as_of"),
    rails=(
        "more than max_leaving_pct per cent of an organisation in one file: blocked (--accept-impact)",
        "a file that lists a fifth fewer people of an organisation than the last one: blocked (--accept-impact)",
        "the only owner of a group, and nobody who stays to give it to: whatever comes after day 0 is blocked",
        "retiring devices needs --allow-irreversible, deleting accounts --max-deletes",
    ),
    trial=PlanOptions(allow_irreversible=True, as_of="2026-01-09"),
    builds_on="licenses.pools",
)
