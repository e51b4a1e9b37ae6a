from __future__ import annotations

import pytest

from graphkit.protocol.schema import schema
from graphkit.resources.access_places import incomplete, put, references
from graphkit.resources.break_glass import BreakGlass, exclude, not_excluded
from graphkit.resources.named import _telling
from graphkit.resources.new_groups import group_key

ACCOUNT = BreakGlass("account", "a1", groups=frozenset({"g1", "g2"}))
GROUP = BreakGlass("group", "g1", is_group=True)


def policy(**users):
    return {"conditions": {"users": {"includeUsers": ["All"], **users}}}


@pytest.mark.parametrize(
    ("users", "caught"),
    [
        ({}, ["account", "group"]),
        ({"excludeUsers": ["a1"]}, ["group"]),
        ({"excludeUsers": ["A1"], "excludeGroups": ["G1"]}, []),
        ({"excludeGroups": ["g1"]}, []),
        ({"excludeGroups": ["g2"]}, ["group"]),
        ({"excludeGroups": ["g3", "group:ca.new.00000000"]}, ["account", "group"]),
        ({"excludeUsers": ["g1"], "excludeRoles": ["a1"]}, ["account", "group"]),
    ],
)
def test_an_account_is_left_out_by_its_id_or_by_a_group_it_is_in_and_a_group_by_its_id(users, caught):
    assert [each.name for each in not_excluded(policy(**users), [ACCOUNT, GROUP])] == caught


def test_what_could_not_be_looked_up_is_left_out_by_nothing():
    unread = BreakGlass("account", "a1", why="its groups could not be read")
    assert not_excluded(policy(excludeUsers=["a1"]), [unread]) == [unread]


def test_exclusions_are_added_to_those_that_are_there():
    body = policy(excludeUsers=["u1"])
    exclude(body, [ACCOUNT, GROUP])
    assert body["conditions"]["users"] == {
        "includeUsers": ["All"],
        "excludeUsers": ["u1", "a1"],
        "excludeGroups": ["g1"],
    }
    assert not_excluded(body, [ACCOUNT, GROUP]) == []


@pytest.mark.parametrize("body", [{}, {"conditions": {"users": None}}])
def test_a_policy_without_users_says_that_it_includes_none(body):
    exclude(body, [ACCOUNT])
    assert body["conditions"]["users"] == {"includeUsers": ["None"], "excludeUsers": ["a1"]}


def test_words_are_no_references_and_get_their_own_spelling():
    body = {
        "conditions": {
            "users": {"includeUsers": ["all"], "excludeUsers": ["rx1-0001@contoso.example"]},
            "applications": {"includeApplications": ["office365", "Microsoft Graph"]},
        },
        "grantControls": {"authenticationStrength": {"id": "Passwordless MFA"}},
    }
    found = {noun: names for _, noun, names in references(body) if names}
    assert found == {
        "user": ["rx1-0001@contoso.example"],
        "app": ["Microsoft Graph"],
        "strength": ["Passwordless MFA"],
    }
    for place, noun, _ in references(body):
        put(body, place, noun, {"Microsoft Graph": "app-id", "Passwordless MFA": "strength-id"})
    assert body["conditions"]["users"]["includeUsers"] == ["All"]
    assert body["conditions"]["applications"]["includeApplications"] == ["Office365", "app-id"]
    assert body["grantControls"]["authenticationStrength"]["id"] == "strength-id"


WHOLE = {
    "conditions": {"users": {"includeUsers": ["All"]}, "applications": {"includeApplications": ["All"]}},
    "grantControls": {"operator": "OR", "builtInControls": ["mfa"]},
}


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({}, []),
        ({"grantControls": None}, ["grantControls"]),
        ({"grantControls": None, "sessionControls": {"signInFrequency": {"isEnabled": True}}}, []),
        ({"grantControls": None, "sessionControls": {"signInFrequency": None}}, ["grantControls"]),
        ({"grantControls": {"operator": "XOR", "builtInControls": ["mfa"]}}, ["grantControls.operator"]),
        ({"conditions": {}}, ["conditions.users", "conditions.applications"]),
        (
            {
                "conditions": {
                    "clientApplications": {"includeServicePrincipals": ["All"]},
                    "applications": {"includeUserActions": ["urn:user:registerdevice"]},
                }
            },
            [],
        ),
    ],
)
def test_what_a_policy_lacks_is_known_before_the_service_says_so(changes, places):
    assert [place for place, _ in incomplete({**WHOLE, **changes})] == places


def test_the_key_of_a_new_group_is_readable_short_and_no_other_names():
    long = "CA005-Global-DataProtection-Office365-AnyPlatform-Unmanaged-RequireAppProtection - Exclude"
    assert group_key("Staff Ä & guests", "ca").startswith("ca.staff-guests.")
    assert len(group_key(long, "ca")) < 64
    assert group_key(long, "ca") != group_key(long + "d", "ca")
    assert group_key(long, "ca") == group_key(long, "ca")


def test_a_change_names_what_is_to_go_as_empty_or_by_its_default():
    live = {
        "conditions": {
            "clientAppTypes": ["browser"],
            "users": {"includeUsers": ["All"], "excludeGroups": ["g1"]},
            "devices": {"deviceFilter": {"mode": "exclude", "rule": "device.x -eq 1"}},
        },
        "sessionControls": {"signInFrequency": {"isEnabled": True, "value": 4, "type": "hours"}},
    }
    wanted = {"conditions": {"users": {"includeUsers": ["All"]}}}
    kind = schema("v1.0").structured("conditionalAccessPolicy")
    assert _telling("v1.0", kind, wanted, live) == {
        "conditions": {
            "clientAppTypes": ["all"],
            "users": {"includeUsers": ["All"], "excludeGroups": []},
            "devices": None,
        },
        "sessionControls": None,
    }
