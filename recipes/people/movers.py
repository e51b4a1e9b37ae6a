"""people.movers: accounts say what the people file says, and groups follow: the new ones first, the old ones later."""

from __future__ import annotations

from collections.abc import Iterator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.recipe import Inputs, Recipe
from recipes.people.people import (
    Belonging,
    Page,
    Person,
    belongings,
    group_wishes,
    managed,
    marks_of,
    page_of,
    people,
    profile_of,
    reference,
    today_of,
)


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """Everybody who works there now; then the groups, those that nobody of the file is in any more included."""
    page, today = page_of(inputs), today_of(options)
    groups: dict[str, Desired] = {}
    skus: set[str] = set()
    orgs = {org.code for org in inputs.orgs} if not options.org else {options.org}
    last = Origin("", "")
    for origin, person in people(inputs, Person, options):
        if person.start_date > today or (person.end_date and person.end_date <= today):
            continue
        wanted = belongings(page, person.licence_profile, person.department, person.org)
        orgs.add(person.org)
        skus.update(each.sku for each in wanted if each.sku)
        for each in wanted:
            groups.setdefault(each.key, reference(each, person.org, inputs.orgs, origin))
        last = origin
        yield from _moves(person, wanted, page, inputs, origin)
    for org, each in managed(page, skus, orgs) if last.file else ():
        if each.key not in groups:
            groups[each.key] = reference(each, org, inputs.orgs, last)
            groups[each.key].rails["optional"] = True
    yield from groups.values()


def _moves(person: Person, wanted: list[Belonging], page: Page, inputs: Inputs, origin: Origin) -> Iterator[Desired]:
    key, needs = person.employee_id, (("user.profile", person.employee_id),)
    rails = {"org": person.org, "marks": sorted(marks_of(inputs.orgs, person.org))}
    profile = profile_of(person, inputs.orgs)
    yield Desired(kind="user.profile", key=key, origin=origin, properties=dict(profile), rails=rails)
    if person.manager_employee_id:
        properties = {"person": key, "manager": person.manager_employee_id}
        yield Desired(kind="user.manager", key=key, origin=origin, properties=properties, needs=needs)
    yield Desired(
        kind="mover",
        key=key,
        origin=origin,
        properties={
            "groups": [each.key for each in wanted],
            "moved_on": person.moved_on.isoformat() if person.moved_on else "",
            "overlap_days": page.overlap_days,
        },
        rails={"org": person.org},
    )
    yield from group_wishes(person, origin, wanted, "user.profile")


RECIPE = Recipe(
    name="people.movers",
    summary="Movers: accounts follow the people file, new groups and pools first, old ones after an overlap",
    permissions=("User.ReadWrite.All", "GroupMember.ReadWrite.All"),
    desired=desired,
    template="movers.csv",
    given_with=("movers.people.yaml",),
    models=(Page, Person),
    options=("org", "transfer", "as_of"),
    rails=(
        "another organisation than before: that person is blocked without --transfer",
        "old groups are left when the new ones are there and overlap_days have passed since moved_on, never before",
        "a pool over its cap, or seats that the tenant does not have: blocked",
    ),
    trial=PlanOptions(as_of="2026-01-05"),
    builds_on="licenses.pools",
)
