"""What a plan wants of one user's licences is judged together, in whatever order it is read."""

from contextlib import closing

import pytest

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import Context
from graphkit.engine.snapshot import Snapshot
from graphkit.resources.license_sets import LicenseSets

A, B, C = (f"{letter}@contoso.example" for letter in "abc")
ID = "11111111-2222-3333-4444-555555555555"
PLANS = {"E3": {"SHAREPOINTENTERPRISE"}, "F1": {"SHAREPOINTDESKLESS"}}


class Skus:
    def plans_on(self, held):
        return set().union(*(PLANS[each["skuId"]] for each in held))


def wish(user, sku, name=None):
    item = Desired(kind="user.license", key=f"{name or user}/{sku}", origin=Origin("in.csv", 2))
    item.properties.update(user=name or user, skuId=sku, disabledPlans=[])
    return item, {"userPrincipalName": user, "id": ID}, ""


CASES = {
    "in one chunk": [[wish(A, "E3"), wish(B, "E3"), wish(B, "F1"), wish(C, "E3")]],
    "a chunk ends between them": [[wish(A, "E3"), wish(B, "E3")], [wish(B, "F1"), wish(C, "E3")]],
    "chunks of one": [[wish(A, "E3")], [wish(B, "E3")], [wish(B, "F1")], [wish(C, "E3")]],
    "once by id, before": [[wish(B, "F1", ID)], [wish(A, "E3"), wish(B, "E3"), wish(C, "E3")]],
    "once by id, behind": [[wish(A, "E3"), wish(B, "E3"), wish(C, "E3")], [wish(B, "F1", f"z{ID}")]],
}


@pytest.mark.parametrize("chunks", CASES.values(), ids=CASES)
def test_two_wishes_of_one_user_are_judged_together(chunks):
    with closing(Snapshot()) as snapshot:
        sets = LicenseSets(Context(None, None, snapshot), Skus())
        for chunk in chunks:
            assert sets.stage(chunk) == []
        against = {}
        for items in ([item for item, _, _ in chunk] for chunk in chunks):
            against |= zip([item.key for item in items], sets.obstacles(items), strict=True)
    alone = {f"{A}/E3", f"{C}/E3"}
    assert {key for key, why in against.items() if "cannot be held together" in why} == set(against) - alone


def test_a_licence_that_is_wanted_twice_is_found_a_chunk_later():
    with closing(Snapshot()) as snapshot:
        sets = LicenseSets(Context(None, None, snapshot), Skus())
        again = wish(B, "E3", ID)
        assert sets.stage([wish(A, "E3"), wish(B, "E3"), wish(C, "E3")]) == []
        assert sets.stage([again]) == [(again[0], Origin("in.csv", 2))]
