"""The people file, which joiners, movers and leavers share, and the page of rules beside it. No recipe of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.orgs import Orgs
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import AnyOrg, Day, Flag, InputModel, Key, Org, TextList, Upn
from graphkit.recipe import Inputs
from recipes.passes import Passes

EMPLOYEE_ID_MAX = 16
"""Characters of an employeeId (https://learn.microsoft.com/graph/api/resources/user)."""


def _check_employee_id(text: str) -> str:
    if len(text) > EMPLOYEE_ID_MAX:
        raise ValueError(f"has more than {EMPLOYEE_ID_MAX} characters")
    return text


EmployeeId = Annotated[Key, AfterValidator(_check_employee_id)]


class Person(InputModel):
    """One row."""

    employee_id: EmployeeId = Field(description="what a person is known by; employeeId of the account")
    first_name: str = Field(min_length=1, max_length=64, description="given name")
    last_name: str = Field(min_length=1, max_length=64, description="surname")
    display_name: str = Field(default="", max_length=256, description="default: both names")
    upn: Upn | None = Field(default=None, description="userPrincipalName of a new account; default: made of the names")
    org: Org = Field(description="organisation code")
    job_title: str = Field(default="", max_length=128, description="jobTitle")
    department: str = Field(default="", max_length=64, description="department; the page may give it groups and teams")
    manager_employee_id: EmployeeId | None = Field(default=None, description="employee_id of the manager")
    start_date: Day = Field(description="first day of work")
    end_date: Day | None = Field(default=None, description="first day without access")
    moved_on: Day | None = Field(default=None, description="day of the last move, from which old groups are kept on")
    leave_status: str = Field(default="", description="maternity, sick ...; read by other recipes")
    licence_profile: str = Field(default="", description="a profile of the page, or one SKU by part number")
    mobile: str = Field(default="", max_length=64, description="mobilePhone")

    @property
    def name(self) -> str:
        return self.display_name or f"{self.first_name} {self.last_name}"


class Leaver(Person):
    """One row; the organisation may be closed by now."""

    org: AnyOrg = Field(description="organisation code")


class Department(InputModel):
    """Where the people of a department belong."""

    groups: TextList = Field(default=(), description="uniqueNames of groups; {org} is the organisation's code")
    teams: TextList = Field(default=(), description="uniqueNames of teams' groups; {org} as above")


class Profile(Department):
    """What a licence profile stands for."""

    skus: TextList = Field(default=(), description="part numbers; each is the pool <org>.<sku>.pool")


class JoinersPasses(Passes):
    """Temporary access passes of those who start."""

    days_before: int = Field(default=7, ge=0, le=30, description="days before start_date from which a pass is issued")


class Page(InputModel):
    """The page of rules."""

    usage_location: str = Field(default="", description="country code of new accounts, such as GB")
    domain: str = Field(default="", description="domain of new names where the registry has none for the organisation")
    profiles: dict[str, Profile] = Field(
        default_factory=dict, description="licence profiles by name: skus, groups, teams"
    )
    departments: dict[str, Department] = Field(default_factory=dict, description="departments by name: groups, teams")
    enable_within_days: int = Field(default=7, ge=0, description="days after start_date in which an account is enabled")
    overlap_days: int = Field(default=14, ge=0, description="days after moved_on that a mover keeps the old groups")
    owner_fallback: Upn | None = Field(
        default=None, description="owner of what a leaver owns alone, where no manager is named"
    )
    retire_devices: Flag = Field(default=True, description="whether a leaver's managed devices are retired")
    max_leaving_pct: float = Field(
        default=2.0, gt=0, le=100, description="people of an organisation who may leave at once"
    )
    access_passes: JoinersPasses | None = Field(
        default=None, description="temporary access passes for those who start; none without it"
    )

    @field_validator("usage_location")
    @classmethod
    def _check_country(cls, code: str) -> str:
        if code and not (len(code) == 2 and code.isascii() and code.isalpha() and code.isupper()):
            raise ValueError("is not a country code of two capital letters")
        return code


@dataclass(frozen=True, slots=True)
class Belonging:
    """One group that a row asks for. ``sku``: it is the pool of that product."""

    key: str
    sku: str = ""


def belongings(page: Page, profile: str, department: str, org: str) -> list[Belonging]:
    """The groups of a licence profile and a department, each once."""
    licences = page.profiles.get(profile) or Profile(skus=(profile,) if profile else ())
    found = [_pool(org, sku) for sku in licences.skus]
    found += _named(org, [licences, page.departments.get(department) or Department()])
    return list({each.key: each for each in found}.values())


def managed(page: Page, skus: set[str], orgs: set[str]) -> Iterator[tuple[str, Belonging]]:
    """(organisation, group) for every group that the page may put somebody of these organisations into."""
    known = {sku for each in page.profiles.values() for sku in each.skus} | skus
    for org in sorted(orgs):
        pools = [_pool(org, sku) for sku in sorted(known)]
        for each in (*pools, *_named(org, [*page.profiles.values(), *page.departments.values()])):
            yield org, each


def _pool(org: str, sku: str) -> Belonging:
    return Belonging(f"{org}.{sku}.pool", sku)


def _named(org: str, places: Iterable[Department]) -> list[Belonging]:
    return [Belonging(name.replace("{org}", org)) for each in places for name in (*each.groups, *each.teams)]


def people(inputs: Inputs, model: type[Person], options: PlanOptions) -> Iterator[tuple[Origin, Any]]:
    """The rows that belong to ``--org``, all of them without it; of one employee id only one."""
    tables, _ = inputs.apart()
    for origin, row in tables.rows(model, key=lambda row: row.employee_id.lower()):
        if options.org in ("", row.org):
            yield origin, row


def page_of(inputs: Inputs) -> Page:
    """The page that was given, or what it says without one; a second one is a problem."""
    _, documents = inputs.apart()
    found = documents.document(Page)
    return found[1] if found else Page()


def today_of(options: PlanOptions) -> date:
    return date.fromisoformat(options.as_of) if options.as_of else date.max


def marks_of(orgs: Orgs, code: str) -> dict[str, str]:
    """The properties by which an account belongs to an organisation: those of the registry, else companyName."""
    org = orgs.get(code)
    marks = {name: value for name, value in org.marks if "." not in name} if org else {}
    return marks or ({} if org and org.domains else {"companyName": code})


def profile_of(person: Person, orgs: Orgs) -> dict[str, str]:
    """What the account says of the person. An empty cell says nothing."""
    given = {
        "givenName": person.first_name,
        "surname": person.last_name,
        "displayName": person.display_name,
        "jobTitle": person.job_title,
        "department": person.department,
        "mobilePhone": person.mobile,
        **marks_of(orgs, person.org),
    }
    return {name: value for name, value in given.items() if value}


def group_wishes(person: Person, origin: Origin, wanted: list[Belonging], needs: str = "") -> Iterator[Desired]:
    """Memberships of a person who is known by employee id. They wait for an account that is still to be made, and for
    what is planned of the person as ``needs``.
    """
    further = ((needs, person.employee_id),) if needs else ()
    for each in wanted:
        yield Desired(
            kind="group.member",
            key=f"{each.key}/{person.employee_id}",
            origin=origin,
            properties={"group": each.key, "person": person.employee_id},
            needs=(("group.reference", each.key), *further),
            rails={"org": person.org},
        )


def reference(each: Belonging, org: str, orgs: Orgs, origin: Origin) -> Desired:
    """A group that must be there already."""
    rails = {"org": org, "sku": each.sku, "cap": orgs.cap(org, each.sku)} if each.sku else {}
    return Desired(kind="group.reference", key=each.key, origin=origin, rails=rails)
