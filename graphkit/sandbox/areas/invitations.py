"""Guests: api-reference/v1.0/api/invitation-post.md and resources/invitation.md of microsoft-graph-docs-contrib.

The user is there at once and waits for its owner to accept, which nobody does here; no message is sent.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from graphkit.sandbox.areas.sponsors import named_sponsors
from graphkit.sandbox.areas.user_rules import holder_of, verified_domains
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, not_found
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import INVITE
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check, check_required, check_writable

routes = Routes()

_ADDRESS = re.compile(r"[^\s@\x80-\uffff]+@[^\s@\x80-\uffff]+\.[^\s@.\x80-\uffff]+")
_TYPES = ("Guest", "Member")
_MESSAGE: Json = {
    "messageLanguage": None,
    "customizedMessageBody": None,
    "ccRecipients": [{"emailAddress": {"name": None, "address": None}}],
}


@routes.post("/invitations", INVITE, page="invitation-post")
def invite(call: Call) -> Reply:
    asked = _read(call)
    sponsors = named_sponsors(call, asked.get("invitedUserSponsors"))
    guest = _reset(call, asked) if asked.get("resetRedemption") else _known_guest(call, asked)
    if guest is None:
        guest = _new_guest(call, asked)
        call.tenant.state.put("users", guest)
        call.tenant.replication.created(call.now)
    for sponsor in sponsors:
        if sponsor not in call.tenant.state.linked("sponsors", guest["id"]):
            call.tenant.state.link("sponsors", guest["id"], sponsor)
    return Reply(201, _answer(call, asked, guest))


def _read(call: Call) -> Json:
    """Raises :class:`Refusal`. The words about values are ours."""
    body = call.json
    found = check(body, "invitation", call.version)
    check_writable(body, found)
    check_required(body, found)
    if not _ADDRESS.fullmatch(body["invitedUserEmailAddress"]):
        raise bad_request("The invited user's email address is invalid.", "BadRequest")
    redirect = urlsplit(body["inviteRedirectUrl"])
    if redirect.scheme not in ("http", "https") or not redirect.netloc:
        raise bad_request("The inviteRedirectUrl is not a valid URL.", "BadRequest")
    if body.get("invitedUserType") not in (None, *_TYPES):
        raise bad_request("Invalid value specified for property 'invitedUserType' of resource 'Invitation'.")
    if any("@odata.bind" in name for name in body):
        raise Refusal(501, "NotModelled", "The simulated tenant does not model binds in an invitation.")
    return body


def _known_guest(call: Call, asked: Json) -> Json | None:
    """The guest who was invited with this address before. Who belongs to the tenant anyway is refused:
    microsoftgraph/msgraph-beta-sdk-dotnet#798."""
    address = asked["invitedUserEmailAddress"]
    users = call.tenant.state.table("users")
    known = users.objects.get(holder_of(call, address) or "")
    known = known or next(iter(users.find("userPrincipalName", address)), None)
    if known is not None and not known.get("externalUserState"):
        raise bad_request(
            f"The invited user already exists in the directory as objectID: {known['id']}. They can use that account "
            "to sign in to shared apps and resources.",
            "BadRequest",
        )
    if known is None and address.rpartition("@")[2].lower() in verified_domains(call):
        # learn.microsoft.com/entra/external-id/troubleshoot; the words are an assumption
        raise bad_request("The domain of the email address is a verified domain of this directory.", "BadRequest")
    return known


def _reset(call: Call, asked: Json) -> Json:
    """learn.microsoft.com/entra/external-id/reset-redemption-status: a guest keeps everything and accepts again, with
    the old address or another that is known of them."""
    key = (asked.get("invitedUser") or {}).get("id")
    if not key:
        raise bad_request("A value is required for property 'invitedUser' of resource 'Invitation'.")  # assumption
    user = call.tenant.state.get("users", key.lower())
    if user is None:
        raise not_found(key)
    known = [user.get("mail"), *(user.get("otherMails") or ())]
    if asked["invitedUserEmailAddress"].lower() not in (address.lower() for address in known if address):
        raise bad_request(
            "The email you\u2019re using to invite this user doesn\u2019t match any emails on the user object. Please "
            "add this email to the user object and try again.",
            "BadRequest",
        )  # microsoftgraph/msgraph-beta-sdk-dotnet#394
    waiting = {**user, **_pending(call)}
    call.tenant.state.put("users", waiting)
    return waiting


def _pending(call: Call) -> Json:
    return {"externalUserState": "PendingAcceptance", "externalUserStateChangeDateTime": instant(call.now)}


def _new_guest(call: Call, asked: Json) -> Json:
    """learn.microsoft.com/entra/external-id/user-properties"""
    address = asked["invitedUserEmailAddress"]
    nickname = f"{address.replace('@', '_')}#EXT#"
    initial = next(name for name, is_initial in verified_domains(call).items() if is_initial)
    return {
        "id": call.tenant.new_id(),
        "accountEnabled": True,
        "createdDateTime": instant(call.now),
        "creationType": "Invitation",
        "displayName": asked.get("invitedUserDisplayName") or address.partition("@")[0],
        "mail": address,
        "mailNickname": nickname,
        "otherMails": [address],
        "proxyAddresses": [f"SMTP:{address}"],
        "showInAddressList": False,
        "userPrincipalName": f"{nickname}@{initial}",
        "userType": asked.get("invitedUserType") or "Guest",
        **_pending(call),
        "_created": call.now,
    }


def _answer(call: Call, asked: Json, guest: Json) -> Json:
    invitation = call.tenant.new_id()
    accepted = guest["externalUserState"] == "Accepted"
    return {
        "@odata.context": call.context("invitations/$entity"),
        "id": invitation,
        "inviteRedeemUrl": _redeem_url(call, invitation),
        "invitedUserDisplayName": asked.get("invitedUserDisplayName"),
        "invitedUserType": asked.get("invitedUserType") or "Guest",
        "invitedUserEmailAddress": asked["invitedUserEmailAddress"],
        "sendInvitationMessage": bool(asked.get("sendInvitationMessage")),
        "resetRedemption": bool(asked.get("resetRedemption")),
        "inviteRedirectUrl": asked["inviteRedirectUrl"],
        "status": "Completed" if accepted else "PendingAcceptance",
        "invitedUserMessageInfo": {**_MESSAGE, **(asked.get("invitedUserMessageInfo") or {})},
        "invitedUser": {"id": guest["id"]},
    }


def _redeem_url(call: Call, invitation: str) -> str:
    """Shaped like the service's, but it leads nowhere."""
    target = f"{call.base}/redeem/?tenant={call.tenant.tenant_id}&user={invitation}&ticket={call.tenant.new_id()}"
    return f"{call.base}/redeem?rd={quote(target + '&ver=2.0', safe='')}"
