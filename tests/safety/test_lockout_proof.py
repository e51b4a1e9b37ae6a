"""Facts in, findings out: which policy locks which account out."""

from __future__ import annotations

import pytest

from graphkit.resources.memberships import Membership
from graphkit.safety.lockout import Account, demands, lock_outs, reaches

ME, OTHER = "a0000000-0000-0000-0000-000000000001", "a0000000-0000-0000-0000-000000000002"
ASSIGNED, DYNAMIC, NESTED, ABOVE_RULE = (f"b0000000-0000-0000-0000-00000000000{n}" for n in range(1, 5))
ADMIN = "62e90394-69f5-4237-9190-012177145e10"

account = Account(
    name="rescue@contoso.example",
    id=ME,
    membership=Membership(
        assigned=frozenset({ASSIGNED}),
        dynamic=frozenset({DYNAMIC}),
        parents={ASSIGNED: frozenset({NESTED}), DYNAMIC: frozenset({ABOVE_RULE})},
    ),
    roles=frozenset({ADMIN}),
    methods=frozenset({"passwordAuthenticationMethod"}),
)


def policy(users, controls=("block",), *, operator="OR", state="enabled", **grant):
    return {
        "displayName": "p",
        "state": state,
        "conditions": {"users": users, "clientAppTypes": ["all"]},
        "grantControls": {"operator": operator, "builtInControls": list(controls), **grant},
    }


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ({"includeUsers": ["All"]}, "all users"),
        ({"includeUsers": [ME.upper()]}, "by its id"),
        ({"includeUsers": ["None"]}, ""),
        ({"includeUsers": [OTHER]}, ""),
        ({"includeGroups": [ASSIGNED]}, ASSIGNED),
        ({"includeGroups": [NESTED]}, NESTED),
        ({"includeGroups": [DYNAMIC]}, DYNAMIC),
        ({"includeRoles": [ADMIN.upper()]}, ADMIN),
        ({"includeRoles": [OTHER]}, ""),
        ({"includeUsers": ["GuestsOrExternalUsers"]}, ""),
        ({"includeUsers": ["All"], "excludeUsers": [ME]}, ""),
        ({"includeUsers": ["All"], "excludeGroups": [ASSIGNED]}, ""),
        ({"includeUsers": ["All"], "excludeGroups": [NESTED.upper()]}, ""),
        # What hangs on a rule may end at any time, and so may a role.
        ({"includeUsers": ["All"], "excludeGroups": [DYNAMIC]}, "all users"),
        ({"includeUsers": ["All"], "excludeGroups": [ABOVE_RULE]}, "all users"),
        ({"includeUsers": ["All"], "excludeRoles": [ADMIN]}, "all users"),
        (None, ""),
    ],
)
def test_whom_a_policy_is_for(users, said):
    path = reaches(policy(users), account)
    assert (said in path) if said else not path


def test_a_dynamic_group_is_taken_to_include_everybody_who_is_not_left_out():
    rule = "b0000000-0000-0000-0000-00000000000f"
    assert "whose rule may take it in" in reaches(policy({"includeGroups": [rule]}), account, {rule})
    assert not reaches(policy({"includeGroups": [rule], "excludeUsers": [ME]}), account, {rule})
    assert not reaches(policy({"includeGroups": [rule]}), account)


def test_where_roles_may_not_be_read_a_policy_for_any_role_counts():
    blind = Account(name="rescue", id=ME, roles=None)
    assert "may not be read" in reaches(policy({"includeRoles": [OTHER]}), blind)
    assert not reaches(policy({"includeUsers": [OTHER]}), blind)


FIDO = {"fido2AuthenticationMethod"}


@pytest.mark.parametrize(
    ("controls", "operator", "grant", "methods", "said"),
    [
        (["block"], "OR", {}, FIDO, "blocks"),
        (["compliantDevice"], "OR", {}, FIDO, "compliant device"),
        (["domainJoinedDevice"], "OR", {}, FIDO, "hybrid joined"),
        (["approvedApplication"], "OR", {}, FIDO, "approved app"),
        (["passwordChange", "mfa"], "AND", {}, FIDO, "new password"),
        (["mfa"], "OR", {}, {"passwordAuthenticationMethod", "emailAuthenticationMethod"}, "nothing registered"),
        (["mfa"], "OR", {}, None, "may not be read"),
        (["mfa"], "OR", {}, FIDO, ""),
        (["mfa"], "OR", {}, {"phoneAuthenticationMethod"}, ""),
        (["mfa", "compliantDevice"], "OR", {}, FIDO, ""),
        (["mfa", "compliantDevice"], "AND", {}, FIDO, "compliant device"),
        (["somethingNew"], "OR", {}, FIDO, "somethingNew"),
        ([], "OR", {"authenticationStrength": {"id": "x", "allowedCombinations": ["fido2"]}}, FIDO, ""),
        ([], "OR", {"authenticationStrength": {"id": "x", "allowedCombinations": ["sms"]}}, FIDO, "strength x"),
        ([], "OR", {"authenticationStrength": {"id": "x"}}, FIDO, "strength x"),
        ([], "OR", {"termsOfUse": ["t"]}, None, ""),
        ([], "OR", {"customAuthenticationFactors": ["elsewhere"]}, FIDO, "elsewhere"),
        ([], "OR", {}, None, ""),
    ],
)
def test_what_a_policy_asks(controls, operator, grant, methods, said):
    someone = Account(name="rescue", id=ME, methods=None if methods is None else frozenset(methods))
    asked = demands(policy({"includeUsers": ["All"]}, controls, operator=operator, **grant), someone)
    assert (said in asked) if said else not asked


def test_only_what_is_on_locks_anybody_out_and_the_finding_names_policy_account_and_path():
    everyone = {"includeUsers": ["All"]}
    states = {state: policy(everyone, state=state) for state in ("enabled", "enabledForReportingButNotEnforced")}
    (finding,) = lock_outs({**states, "off": policy(everyone, state="disabled")}, [account])
    assert (finding.policy, finding.account) == ("enabled", "rescue@contoso.example")
    assert "policy enabled would lock out break-glass rescue@contoso.example: it includes all users and blocks" in str(
        finding
    )


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Account(name="rescue", why="it is not a user of this tenant"), "is not a user"),
        (Account(name="rescue", id=ME, enabled=False), "is disabled"),
    ],
)
def test_an_account_that_cannot_be_looked_up_or_used_counts_as_locked_out(broken, said):
    (finding,) = lock_outs({}, [broken])
    assert said in str(finding)


def test_leaving_a_group_takes_what_hung_on_it_and_nothing_else():
    left = account.membership.left(ASSIGNED)
    assert (ASSIGNED in left.groups, NESTED in left.groups, DYNAMIC in left.groups) == (False, False, True)
    both = account.membership.joined(OTHER, {NESTED}).left(ASSIGNED)
    assert NESTED in both.solid
    ruled = account.membership.ruled(ASSIGNED)
    assert (NESTED in ruled.groups, NESTED in ruled.solid) == (True, False)
