"""People's own authentication methods, and temporary access passes: api-reference/v1.0/api/authentication-*.md.

A pass is told once, when it is made, and never kept.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from datetime import datetime

from graphkit.sandbox.areas.authentication_methods import allows, configuration
from graphkit.sandbox.areas.policy_base import absent, create_body, refuse
from graphkit.sandbox.areas.users import find as find_user
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import guid, instant
from graphkit.sandbox.permissions import PASSES, PASSES_WRITE, USER_METHODS
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.seeding.credentials import CODES, KEY, PHONE, PUSH, methods_of

routes = Routes()

METHODS_KIND = Kind("users/authentication/methods", "authenticationMethod")
PASS_KIND = Kind("users/authentication/temporaryAccessPassMethods", "temporaryAccessPassAuthenticationMethod")
_PASSES = "/users/{user}/authentication/temporaryAccessPassMethods"

# Well-known ids: resources/passwordauthenticationmethod.md and phoneauthenticationmethod.md.
PASSWORD_ID = "28c10230-6103-485e-b985-444c60001490"  # noqa: S105 - the same in every tenant
MOBILE_ID = "3179e48a-750b-4051-897c-87b9720928f7"


@routes.get("/users/{user}/authentication/methods", USER_METHODS, page="authentication-list-methods")
def list_methods(call: Call) -> Reply:
    return listing(call, METHODS_KIND, list(_methods(call, find_user(call))))


def _methods(call: Call, user: Json) -> Iterator[Json]:
    key, registered = user["id"], methods_of(user["id"], call.tenant)
    yield {**_typed("password", PASSWORD_ID), "password": None, "createdDateTime": user.get("createdDateTime")}
    if PHONE in registered:
        # A number that Ofcom keeps free for drama (ofcom.org.uk, "Telephone numbers for use in TV and radio").
        last = int(guid(key, "phone")[:4], 16) % 1000
        yield {**_typed("phone", MOBILE_ID), "phoneNumber": f"+44 7700900{last:03}", "phoneType": "mobile",
               "smsSignInState": "notAllowedByPolicy"}  # fmt: skip
    if PUSH in registered:
        yield {**_typed("microsoftAuthenticator", guid(key, PUSH)), "displayName": "Phone",
               "deviceTag": "SoftwareTokenActivated", "phoneAppVersion": "6.2401.0617"}  # fmt: skip
    if CODES in registered:
        yield {**_typed("softwareOath", guid(key, CODES)), "secretKey": None}
    if KEY in registered:
        yield {**_typed("fido2", guid(key, KEY)), "displayName": "Security key", "model": "Security key"}
    found = call.tenant.state.get("temporaryAccessPasses", key)
    if found is not None:
        yield _shown(call, found)


def _typed(kind: str, key: str) -> Json:
    return {"@odata.type": f"#microsoft.graph.{kind}AuthenticationMethod", "id": key}


# -- temporary access passes ---------------------------------------------------------------------------------------


@routes.get(_PASSES, PASSES, page="authentication-list-temporaryaccesspassmethods")
def list_passes(call: Call) -> Reply:
    found = call.tenant.state.get("temporaryAccessPasses", find_user(call)["id"])
    return listing(call, PASS_KIND, [_shown(call, found)] if found else [])


@routes.get(_PASSES + "/{pass}", PASSES, page="temporaryaccesspassauthenticationmethod-get")
def get_pass(call: Call) -> Reply:
    return entity(call, PASS_KIND, _shown(call, _pass(call)))


def _pass(call: Call) -> Json:
    found = call.tenant.state.get("temporaryAccessPasses", find_user(call)["id"])
    if found is None or found["methodId"] != call.params["pass"]:
        raise absent("TemporaryAccessPassAuthenticationMethod", call.params["pass"])
    return found


def _shown(call: Call, found: Json) -> Json:
    usable, reason = _usability(call, found)
    return {
        "@odata.type": "#microsoft.graph.temporaryAccessPassAuthenticationMethod",
        "id": found["methodId"],
        "temporaryAccessPass": None,
        "createdDateTime": found["createdDateTime"],
        "startDateTime": found["startDateTime"],
        "lifetimeInMinutes": found["lifetimeInMinutes"],
        "isUsableOnce": found["isUsableOnce"],
        "isUsable": usable,
        "methodUsabilityReason": reason,
    }


def _usability(call: Call, found: Json) -> tuple[bool, str]:
    """resources/temporaryaccesspassauthenticationmethod.md; nobody signs in with one here, so none is OneTimeUsed."""
    starts = datetime.fromisoformat(found["startDateTime"]).timestamp()
    if not allows(call, "TemporaryAccessPass", found["id"]):
        return False, "DisabledByPolicy"
    if call.now < starts:
        return False, "NotYetValid"
    if call.now >= starts + found["lifetimeInMinutes"] * 60:
        return False, "Expired"
    return True, "EnabledByPolicy"


@routes.post(_PASSES, PASSES_WRITE, page="authentication-post-temporaryaccesspassmethods")
def create_pass(call: Call) -> Reply:
    """A user has one: a new one takes the place of the old (the page)."""
    user = find_user(call)
    body, _ = create_body(call, "temporaryAccessPassAuthenticationMethod")
    policy = configuration(call, "TemporaryAccessPass") or {}
    if not allows(call, "TemporaryAccessPass", user["id"]):
        # The words: MicrosoftDocs/azure-docs#111778. That it is a 400 is an assumption.
        raise refuse("Converged UserCredentialPolicy does not allow creating or updating this authentication method. "
                     "AuthMethodType [TemporaryAccessPass].")  # fmt: skip
    found = {
        "id": user["id"],
        "methodId": call.tenant.new_id(),
        "createdDateTime": instant(call.now),
        "startDateTime": _start(call, body.get("startDateTime")),
        "lifetimeInMinutes": _lifetime(policy, body.get("lifetimeInMinutes")),
        "isUsableOnce": _once(policy, body.get("isUsableOnce")),
    }
    call.tenant.state.put("temporaryAccessPasses", found)
    told = {**_shown(call, found), "temporaryAccessPass": _secret(call.tenant.dice, policy["defaultLength"])}
    return entity(call, PASS_KIND, told, status=201)


def _start(call: Call, wanted: str | None) -> str:
    if wanted is None:
        return instant(call.now)
    starts = datetime.fromisoformat(wanted)
    if starts.tzinfo is None or starts.timestamp() < call.now - 60:
        raise refuse("startDateTime must be a moment in the future, with its offset.")
    return instant(starts.timestamp())


def _lifetime(policy: Json, wanted: int | None) -> int:
    least, most = policy["minimumLifetimeInMinutes"], policy["maximumLifetimeInMinutes"]
    if wanted is None:
        return int(policy["defaultLifetimeInMinutes"])
    if not least <= wanted <= most:
        raise refuse(f"lifetimeInMinutes must be between {least} and {most}, as the policy says.")
    return wanted


def _once(policy: Json, wanted: bool | None) -> bool:
    """The policy may restrict all passes to one use. What is not said is as the policy says (assumption)."""
    if policy["isUsableOnce"] and wanted is False:
        raise refuse("The policy allows passes that can be used once only.")
    return bool(policy["isUsableOnce"] if wanted is None else wanted)


def _secret(dice: random.Random, length: int) -> str:
    return "".join(dice.choices(string.ascii_letters + string.digits + "+*&#", k=length))


@routes.delete(_PASSES + "/{pass}", PASSES_WRITE, page="temporaryaccesspassauthenticationmethod-delete")
def delete_pass(call: Call) -> Reply:
    call.tenant.state.delete("temporaryAccessPasses", _pass(call)["id"])
    return Reply(204)
