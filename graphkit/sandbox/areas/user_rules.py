"""What a user may be: values that are refused, and who may not be changed.

resources/user.md and api/user-post-users.md, user-update.md of microsoft-graph-docs-contrib.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graphkit.sandbox.call import Call, Json, Refusal, bad_request, conflict
from graphkit.sandbox.schema.check import check, check_changeable, check_writable

_LENGTHS: Mapping[str, int] = {
    "displayName": 256, "givenName": 64, "surname": 64, "jobTitle": 128, "department": 64, "companyName": 64,
    "mailNickname": 64, "mobilePhone": 64, "city": 128, "country": 128, "state": 128, "postalCode": 40,
    "streetAddress": 1024, "employeeId": 16, "officeLocation": 128, "faxNumber": 64,
}  # fmt: skip
"""resources/user.md; employeeId, officeLocation and faxNumber: assumptions after the admin centre."""
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "userType": ("Member", "Guest"),
    "ageGroup": ("Minor", "NotAdult", "Adult"),
    "consentProvidedForMinor": ("Granted", "Denied", "NotRequired"),
}
_NICKNAME = re.compile(r"""[^\s@()\\\[\]";:<>,\x00-\x1f\x7f-\uffff]+""")
_UPN = re.compile(r"[A-Za-z0-9'._!#^~-]{1,64}@[A-Za-z0-9.-]{1,48}")
"""The characters of api/user-post-users.md; the lengths of learn.microsoft.com/entra concept-sspr-policy."""
_MAIL = re.compile(r"[^\s@\x80-\uffff]+@[^\s@\x80-\uffff]+")
_COUNTRY = re.compile(r"[A-Z]{2}")
_POLICIES = frozenset({"None", "DisablePasswordExpiration", "DisableStrongPassword"})
_CLASSES = (str.islower, str.isupper, str.isdigit, lambda mark: not mark.isalnum())

# Written where the account is at home; the words: microsoft-graph-docs#7301, #18038. usageLocation is Entra's own.
_MASTERED = frozenset({
    "accountEnabled", "businessPhones", "city", "companyName", "country", "department", "displayName",
    "employeeHireDate", "employeeId", "employeeOrgData", "employeeType", "faxNumber", "givenName", "jobTitle", "mail",
    "mailNickname", "manager", "mobilePhone", "officeLocation", "onPremisesExtensionAttributes",
    "onPremisesImmutableId", "otherMails", "passwordProfile", "postalCode", "preferredLanguage", "showInAddressList",
    "state", "streetAddress", "surname", "userPrincipalName",
})  # fmt: skip
# resources/users.md, "Who can perform sensitive actions"
_SENSITIVE = frozenset({
    "accountEnabled", "businessPhones", "mobilePhone", "onPremisesImmutableId", "otherMails", "passwordProfile",
    "userPrincipalName",
})  # fmt: skip


def read_new(call: Call, body: Json) -> Json:
    """The properties of a user to be made. Raises :class:`Refusal` for what is missing or wrong."""
    check_writable(body, check(body, "user", call.version))
    for name in ("accountEnabled", "displayName", "mailNickname", "passwordProfile", "userPrincipalName"):
        if body.get(name) in (None, ""):
            raise bad_request(f"A value is required for property '{name}' of resource 'User'.")
    if not body["passwordProfile"].get("password"):
        raise bad_request("A password must be specified to create a new user.")  # assumption: the words
    _check_values(call, body, {})
    return _given(body)


def read_changes(call: Call, user: Json, body: Json) -> Json:
    """The properties that a user is to have from now on. Raises :class:`Refusal`."""
    check_changeable(body, check(body, "user", call.version))
    check_mastered(user, body)
    check_sensitive(call, user, body)
    for name in ("displayName", "mailNickname", "userPrincipalName"):
        if name in body and not body[name]:
            raise _invalid(name)
    _check_values(call, body, user)
    return _given(body)


def _given(body: Json) -> Json:
    """A password is for the service alone; annotations and binds are no properties."""
    return {name: value for name, value in body.items() if name != "passwordProfile" and "@" not in name}


def check_mastered(user: Json, names: Iterable[str]) -> None:
    """Refuses what only an on-premises directory may change of its own people."""
    if user.get("onPremisesSyncEnabled") and not _MASTERED.isdisjoint(names):
        raise bad_request(
            "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects "
            "currently undergoing migration."
        )


def check_sensitive(call: Call, user: Json, names: Iterable[str] | None = None) -> None:
    """What is sensitive of an administrator (``None``: all of it) is for apps that hold a role themselves."""
    if call.permissions is None or (names is not None and _SENSITIVE.isdisjoint(names)):
        return
    roles = call.tenant.state.linked_back
    own = call.tenant.seed.id_of("servicePrincipal", call.app)
    is_administrator = roles("roleMembers", user["id"]) or "roleMembersOf" in user.get("_links", ())  # if deleted
    if is_administrator and not roles("roleMembers", own):
        raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def _check_values(call: Call, body: Json, user: Json) -> None:
    for name, value in body.items():
        if value == "" and "@" not in name:
            # Nothing is null, never an empty text: microsoftgraph/msgraph-sdk-dotnet#187, msgraph-sdk-powershell#2087.
            raise _invalid(name)
    for name, fits in _FITS.items():
        if body.get(name) is not None and not fits(body[name]):
            raise _invalid(name)
    for name, longest in _LENGTHS.items():
        if len(body.get(name) or "") > longest:
            raise _invalid(name)
    for name, choices in _CHOICES.items():
        if body.get(name) is not None and body[name].lower() not in (choice.lower() for choice in choices):
            raise _invalid(name)
    _check_password(body, user)
    if "userPrincipalName" in body:
        check_upn(call, body["userPrincipalName"], user.get("id"))
    if body.get("mail"):
        check_addresses(call, [body["mail"]], user.get("id"))


_FITS: Mapping[str, Callable[[Any], Any]] = {
    "businessPhones": lambda value: len(value) <= 1,
    "mail": _MAIL.fullmatch,
    "mailNickname": _NICKNAME.fullmatch,
    "onPremisesImmutableId": lambda value: not set("$_").intersection(value),
    "passwordPolicies": lambda value: {part.strip() for part in value.split(",")} <= _POLICIES,
    "usageLocation": _COUNTRY.fullmatch,
}


def _check_password(body: Json, user: Json) -> None:
    """learn.microsoft.com/entra concept-sspr-policy: 8 to 256 characters, three of four classes."""
    password = (body.get("passwordProfile") or {}).get("password")
    policies = body.get("passwordPolicies", user.get("passwordPolicies")) or ""
    if password is None:
        return
    strong = sum(any(held(mark) for mark in password) for held in _CLASSES) >= 3 or "DisableStrongPassword" in policies
    if not strong or not 8 <= len(password) <= 256:
        raise bad_request(
            "The specified password does not comply with password complexity requirements. Please provide a different "
            "password."
        )


def check_upn(call: Call, upn: str, own_id: str | None) -> None:
    """Deleted users hold no name: theirs begin with their ids (see ``deleted_items.py``)."""
    if upn.rpartition("@")[2].lower() not in verified_domains(call) or upn.count("@") != 1:
        raise bad_request("The domain portion of the userPrincipalName property is invalid. You must use one of the "
                          "verified domain names in your organization.")  # fmt: skip
    if not _UPN.fullmatch(upn) or upn.partition("@")[0].endswith("."):
        raise bad_request("Property userPrincipalName is invalid.")
    if any(user["id"] != own_id for user in call.tenant.state.table("users").find("userPrincipalName", upn)):
        raise conflict("userPrincipalName")


def check_addresses(call: Call, addresses: Iterable[str], own_id: str | None) -> None:
    """No two users receive mail at one address."""
    for address in addresses:
        if holder_of(call, address) not in (None, own_id):
            raise conflict("proxyAddresses")


def holder_of(call: Call, address: str) -> str | None:
    """The id of the user who receives mail there."""
    return next((str(user["id"]) for user in call.tenant.state.table("users").find("mail", address)), None)


def verified_domains(call: Call) -> dict[str, bool]:
    """The domains of the tenant, lower case, and whether each is the first one it had."""
    organisation = call.tenant.state.table("organization").objects[call.tenant.tenant_id]
    return {domain["name"].lower(): domain["isInitial"] for domain in organisation["verifiedDomains"]}


def _invalid(name: str) -> Refusal:
    return bad_request(f"Invalid value specified for property '{name}' of resource 'User'.")
