"""Guests: api/invitation-post.md of microsoft-graph-docs-contrib."""

from __future__ import annotations

import pytest

ASKED = {"invitedUserEmailAddress": "ann@fabrikam.example", "inviteRedirectUrl": "https://contoso.example/welcome"}


def test_an_invitation_makes_a_guest(graph):
    told = graph("POST", "/invitations", ASKED)
    assert told.status == 201
    key = told.json["invitedUser"]["id"]
    assert {name: value for name, value in told.json.items() if name not in ("id", "inviteRedeemUrl")} == {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#invitations/$entity",
        "invitedUserDisplayName": None,
        "invitedUserType": "Guest",
        "invitedUserEmailAddress": "ann@fabrikam.example",
        "sendInvitationMessage": False,
        "resetRedemption": False,
        "inviteRedirectUrl": "https://contoso.example/welcome",
        "status": "PendingAcceptance",
        "invitedUserMessageInfo": {
            "messageLanguage": None,
            "customizedMessageBody": None,
            "ccRecipients": [{"emailAddress": {"name": None, "address": None}}],
        },
        "invitedUser": {"id": key},
    }
    names = ("displayName,mail,mailNickname,otherMails,proxyAddresses,userPrincipalName,userType,creationType,"
             "externalUserState,externalUserStateChangeDateTime,accountEnabled,showInAddressList")  # fmt: skip
    guest = graph("GET", f"/users/{key}?$select={names}").json
    initial = next(each["id"] for each in graph("GET", "/domains").json["value"] if each["isInitial"])
    del guest["@odata.context"]
    assert guest == {
        "displayName": "ann",
        "mail": "ann@fabrikam.example",
        "mailNickname": "ann_fabrikam.example#EXT#",
        "otherMails": ["ann@fabrikam.example"],
        "proxyAddresses": ["SMTP:ann@fabrikam.example"],
        "userPrincipalName": f"ann_fabrikam.example#EXT#@{initial}",
        "userType": "Guest",
        "creationType": "Invitation",
        "externalUserState": "PendingAcceptance",
        "externalUserStateChangeDateTime": "2026-01-05T09:00:00Z",
        "accountEnabled": True,
        "showInAddressList": False,
    }


def test_the_same_person_is_one_guest(graph):
    keys = {graph("POST", "/invitations", ASKED).json["invitedUser"]["id"] for _ in range(2)}
    shouted = {**ASKED, "invitedUserEmailAddress": "ANN@fabrikam.example"}
    keys.add(graph("POST", "/invitations", shouted).json["invitedUser"]["id"])
    assert len(keys) == 1


def test_what_was_asked_is_told_back(graph):
    asked = {**ASKED, "invitedUserDisplayName": "Ann from Fabrikam", "invitedUserType": "Member",
             "sendInvitationMessage": True, "invitedUserMessageInfo": {"customizedMessageBody": "Welcome"}}  # fmt: skip
    told = graph("POST", "/invitations", asked).json
    assert {name: told[name] for name in asked if name != "invitedUserMessageInfo"} == {
        name: value for name, value in asked.items() if name != "invitedUserMessageInfo"
    }
    assert told["invitedUserMessageInfo"]["customizedMessageBody"] == "Welcome"
    guest = graph("GET", f"/users/{told['invitedUser']['id']}?$select=displayName,userType").json
    assert (guest["displayName"], guest["userType"]) == ("Ann from Fabrikam", "Member")


def test_a_guest_is_found_by_the_principal_name_as_it_is_encoded(graph):
    key = graph("POST", "/invitations", ASKED).json["invitedUser"]["id"]
    upn = graph("GET", f"/users/{key}").json["userPrincipalName"]
    assert graph("GET", f"/users/{upn.replace('#', '%23')}").json["id"] == key


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"invitedUserEmailAddress": ""}, "property 'invitedUserEmailAddress'"),
        ({"inviteRedirectUrl": ""}, "property 'inviteRedirectUrl'"),
        ({"invitedUserEmailAddress": "ann"}, "email address is invalid"),
        ({"inviteRedirectUrl": "contoso.example"}, "not a valid URL"),
        ({"invitedUserType": "Visitor"}, "property 'invitedUserType'"),
        ({"status": "Completed"}, "read-only"),
        ({"nonsense": 1}, "does not exist"),
        ({"invitedUserEmailAddress": "rx1-0001@contoso.example"}, "already exists in the directory as objectID"),
        ({"invitedUserEmailAddress": "new@contoso.example"}, "verified domain"),
        ({"resetRedemption": True}, "property 'invitedUser'"),
    ],
)
def test_what_is_no_invitation_is_refused(graph, body, message):
    told = graph("POST", "/invitations", {**ASKED, **body})
    assert told.status == 400
    assert message in told.message


def test_a_redemption_is_reset_with_an_address_that_is_known(graph):
    first = graph("POST", "/invitations", ASKED).json["invitedUser"]
    guest = graph.tenant.state.get("users", first["id"])
    graph.tenant.state.put("users", {**guest, "externalUserState": "Accepted"})
    assert graph("POST", "/invitations", ASKED).json["status"] == "Completed"
    other = {"invitedUserEmailAddress": "ann@adatum.example", "resetRedemption": True, "invitedUser": first}
    refused = graph("POST", "/invitations", {**ASKED, **other})
    assert "match any emails on the user object" in refused.message
    graph("PATCH", f"/users/{first['id']}", {"otherMails": ["ann@adatum.example"]})
    told = graph("POST", "/invitations", {**ASKED, **other})
    assert (told.status, told.json["status"], told.json["invitedUser"]) == (201, "PendingAcceptance", first)
    state = graph("GET", f"/users/{first['id']}?$select=externalUserState").json["externalUserState"]
    assert state == "PendingAcceptance"
    absent = {**other, "invitedUser": {"id": "00000000-0000-0000-0000-000000000000"}}
    assert graph("POST", "/invitations", {**ASKED, **absent}).status == 404


def test_inviting_has_a_permission_of_its_own(graph):
    assert graph("POST", "/invitations", ASKED, **graph.bearer("User.Invite.All")).status == 201
    assert graph("POST", "/invitations", ASKED, **graph.bearer("User.Read.All")).status == 403


def test_sponsors_are_named_by_the_invitation_and_changed_afterwards(graph):
    """user-list-sponsors.md, user-post-sponsors.md, user-delete-sponsors.md"""
    first, second = graph.user(1), graph.user(2)
    asked = {**ASKED, "invitedUserSponsors": [{"@odata.type": "#microsoft.graph.user", "id": first}]}
    path = f"/users/{graph('POST', '/invitations', asked).json['invitedUser']['id']}/sponsors"

    def sponsors():
        return {each["id"] for each in graph("GET", path).json["value"]}

    assert sponsors() == {first}
    assert graph("POST", f"{path}/$ref", {"@odata.id": graph.link(second)}).status == 204
    assert graph("POST", f"{path}/$ref", {"@odata.id": graph.link(second)}).status == 400
    assert sponsors() == {first, second}
    assert graph("DELETE", f"{path}/{first}/$ref").status == 204
    assert graph("DELETE", f"{path}/{first}/$ref").status == 404
    assert sponsors() == {second}


def test_a_sponsor_must_be_there(graph):
    asked = {**ASKED, "invitedUserSponsors": [{"id": "00000000-0000-0000-0000-000000000001"}]}
    assert graph("POST", "/invitations", asked).status == 404
