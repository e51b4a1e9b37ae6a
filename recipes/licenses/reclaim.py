"""licenses.reclaim: licences of people who have not signed in for long go back to the pool."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal

from pydantic import Field

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import AnyOrg, InputModel, TextList, Upn
from graphkit.recipe import Inputs, Recipe


class Policy(InputModel):
    """Who counts as idle, and what of theirs goes."""

    idle_days: int = Field(ge=14, description="days without a successful sign-in, 14 at least")
    skus: TextList = Field(min_length=1, description="the licences that go, by skuPartNumber or skuId")
    exclude: TextList = Field(
        default=("maternity", "sick", "career break"), description="leave statuses whose people keep theirs"
    )
    keep: TextList = Field(default=(), description="people who keep theirs, by userPrincipalName or pattern (svc-*@*)")
    min_age_days: int = Field(default=30, ge=0, description="younger accounts keep theirs")
    prices: dict[str, Decimal] = Field(default_factory=dict, description="what a seat costs a month, by SKU")
    currency: str = Field(default="", pattern="^([A-Z]{3})?$", description="of the prices, such as GBP")


class Person(InputModel):
    """One row of a list of people."""

    upn: Upn = Field(description="userPrincipalName")
    leave_status: str = Field(default="", description="empty, or why they are away")
    org: AnyOrg | None = Field(default=None, description="organisation code; default: what the registry says")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """The policy and the people; whose licences go is told by the tenant."""
    tables, documents = inputs.apart()
    found, rows = documents.document(Policy), tables.rows(Person, key=lambda row: row.upn.lower())
    if found is None:
        if not documents.sources:
            named = tables.sources[0].name if tables.sources else "the input"
            inputs.problems.add(named, "", "missing-value", "no policy was given: add one with -i (YAML)")
        deque(rows, maxlen=0)  # what is wrong with them is told as well
        return
    source, policy = found
    yield _policy(policy, Origin(source.name, "skus"), listed=bool(tables.sources))
    for origin, person in rows:
        yield Desired(
            kind="license.reclaim.person",
            key=person.upn.lower(),
            origin=origin,
            properties={"leaveStatus": person.leave_status, "org": person.org or ""},
        )


def _policy(policy: Policy, origin: Origin, *, listed: bool) -> Desired:
    return Desired(
        kind="license.reclaim",
        key="policy",
        origin=origin,
        properties={
            "idleDays": policy.idle_days,
            "minAgeDays": policy.min_age_days,
            "skus": list(policy.skus),
            "exclude": list(policy.exclude),
            "keep": list(policy.keep),
            "prices": {sku: str(price) for sku, price in policy.prices.items()},
            "currency": policy.currency,
            "listed": listed,
        },
    )


RECIPE = Recipe(
    name="licenses.reclaim",
    summary="Licences of people who have not signed in for long: taken back, with what that saves",
    permissions=("AuditLog.Read.All", "GroupMember.ReadWrite.All", "LicenseAssignment.ReadWrite.All"),
    desired=desired,
    template="reclaim.yaml",
    given_with=("reclaim.people.csv",),
    models=(Policy, Person),
    options=("org", "as_of"),
    rails=(
        "sign-ins that cannot be read: blocked; whoever has none on record is left alone",
        "on leave, kept, or younger than min_age_days: left alone, and counted",
        "a licence from a group with a rule, from one that is kept on premises, or from one that gives more than skus: "
        "blocked alone, with what to do instead",
    ),
)
