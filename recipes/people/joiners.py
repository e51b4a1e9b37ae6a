"""people.joiners: an account for everybody who starts, with manager, licence pool, groups, teams, pass."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import date, timedelta

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.scheduled import scheduled
from recipes.passes import PERMISSIONS, access_pass
from recipes.people.people import (
    Belonging,
    JoinersPasses,
    Page,
    Person,
    belongings,
    group_wishes,
    page_of,
    people,
    profile_of,
    reference,
    today_of,
)

LOCAL_MAX = 60
"""Characters of a name before the @, of which Entra takes 64: a number may follow."""
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)  # what has no decomposition of its own


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """An account a row, then what hangs on it."""
    page = page_of(inputs)
    groups: dict[str, Desired] = {}
    for origin, person in people(inputs, Person, options):
        if person.end_date and person.end_date <= today_of(options):
            continue
        yield _account(inputs, options, page, person, origin)
        if person.start_date > today_of(options):
            yield scheduled(person.employee_id, origin, person.start_date, "the account is enabled")
        if person.manager_employee_id:
            properties = {"person": person.employee_id, "manager": person.manager_employee_id}
            yield Desired(kind="user.manager", key=person.employee_id, origin=origin, properties=properties)
        wanted = belongings(page, person.licence_profile, person.department, person.org)
        _refer(groups, wanted, person, inputs, origin)
        yield from group_wishes(person, origin, wanted)
        if page.access_passes:
            yield from _pass(page, page.access_passes, person, today_of(options), origin)
    yield from groups.values()


def _refer(groups: dict[str, Desired], wanted: list[Belonging], person: Person, inputs: Inputs, origin: Origin) -> None:
    for each in wanted:
        groups.setdefault(each.key, reference(each, person.org, inputs.orgs, origin))


def _account(inputs: Inputs, options: PlanOptions, page: Page, person: Person, origin: Origin) -> Desired:
    """It is enabled on the first day; days later it is left alone, for somebody may have disabled it since."""
    today = today_of(options)
    started = person.start_date <= today
    settled = not started or today - person.start_date > timedelta(days=page.enable_within_days)
    upn, why = _upn(inputs, page, person)
    location = "" if page.usage_location else "the page names no usage_location, without which nobody gets a licence"
    return Desired(
        kind="user",
        key=person.employee_id,
        origin=origin,
        properties={
            **profile_of(person, inputs.orgs),
            "accountEnabled": started,
            "displayName": person.name,
            "employeeId": person.employee_id,
            "mailNickname": upn.partition("@")[0],
            "usageLocation": page.usage_location,
            "userPrincipalName": upn,
        },
        rails={"org": person.org, "made_of_names": person.upn is None, "state_free": settled},
        blocked="; ".join(filter(None, (why, location))),
    )


def _pass(page: Page, passes: JoinersPasses, person: Person, today: date, origin: Origin) -> Iterator[Desired]:
    """From some days before the first one, for as long after it as the account is enabled."""
    if today - person.start_date > timedelta(days=page.enable_within_days):
        return
    issued_on = person.start_date - timedelta(days=passes.days_before)
    if today < issued_on:
        yield scheduled(f"{person.employee_id}/pass", origin, issued_on, "a temporary access pass is issued")
        return
    starts = passes.starting(person.start_date, today)
    properties, rails = {"person": person.employee_id}, {"org": person.org}
    yield access_pass(passes, person.employee_id, origin, starts, properties=properties, rails=rails)


def _upn(inputs: Inputs, page: Page, person: Person) -> tuple[str, str]:
    """(userPrincipalName, why there is none)."""
    if person.upn:
        return person.upn, ""
    org = inputs.orgs.get(person.org)
    domain = org.domains[0] if org and org.domains else page.domain
    local = ".".join(filter(None, (_plain(person.first_name), _plain(person.last_name))))[:LOCAL_MAX].rstrip(".")
    if not domain:
        return "", f"no domain for {person.org}: give a upn, or name a domain in the page or the registry"
    if not local:
        return "", "its names hold no letter of the English alphabet: give a upn"
    return f"{local}@{domain}", ""


def _plain(name: str) -> str:
    """Letters, digits and hyphens of the English alphabet: accents are dropped."""
    text = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS)).encode("ascii", "ignore").decode()
    return "".join(re.findall(r"[a-z0-9-]+", text)).strip("-")


RECIPE = Recipe(
    name="people.joiners",
    summary="Accounts for those who start: disabled until their day, with manager, licence pool, groups and teams",
    permissions=("User.ReadWrite.All", "GroupMember.ReadWrite.All", "User.DeleteRestore.All"),
    permissions_for=PERMISSIONS,
    desired=desired,
    template="joiners.csv",
    given_with=("joiners.people.yaml",),
    models=(Page, Person),
    options=("org", "as_of"),
    rails=(
        "a upn of the file that is taken: that person is blocked, with the next free name",
        "an employee id that several accounts have: that person is blocked",
        "a pool or group that is not there: those memberships are blocked",
        "a pool over its cap, or seats that the tenant does not have: blocked",
        "passes that the tenant's policy does not allow: blocked",
    ),
    trial=PlanOptions(as_of="2026-01-05"),
    builds_on="licenses.pools",
)
