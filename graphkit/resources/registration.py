"""Which authentication methods people have registered, and which of those a policy still lets them use.

https://learn.microsoft.com/graph/api/authenticationmethodsroot-list-userregistrationdetails
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphkit.client import GraphClient
from graphkit.protocol.odata import segment

PATH = "/reports/authenticationMethods/userRegistrationDetails"
SELECT = "id,userPrincipalName,userType,isAdmin,isMfaRegistered,isMfaCapable,methodsRegistered"
PAGE = 999
EVERYONE = "all_users"

ALLOWED_BY: Mapping[str, tuple[str, ...]] = {
    "mobilePhone": ("sms", "voice"),
    "alternateMobilePhone": ("voice",),
    "officePhone": ("voice",),
    "microsoftAuthenticatorPush": ("microsoftauthenticator",),
    "microsoftAuthenticatorPasswordless": ("microsoftauthenticator",),
    "softwareOneTimePasscode": ("softwareoath", "microsoftauthenticator"),
    "hardwareOneTimePasscode": ("hardwareoath",),
    "fido2": ("fido2",),
    "fido2SecurityKey": ("fido2",),
    "passKeyDeviceBound": ("fido2",),
    "passKeyDeviceBoundAuthenticator": ("fido2",),
    "windowsHelloForBusiness": (),
    "macOsSecureEnclaveKey": (),
}
"""What the report calls a method, and the configurations (in lower case) any of which lets it be used; none: it needs
no leave (resources/userregistrationdetails, resources/authenticationmethodspolicies-overview). ``email`` and
``securityQuestion`` reset passwords only and therefore keep nobody in; a temporary access pass ends by itself."""


async def registrations(client: GraphClient) -> AsyncIterator[list[dict[str, Any]]]:
    """Pages of everybody's registration. Raises what the listing raises: half a list proves nothing."""
    async for page in client.pages(PATH, params={"$select": SELECT, "$top": str(PAGE)}):
        yield page


@dataclass(frozen=True, slots=True)
class Leave:
    """For whom a configuration enables its method; both sides hold ids of users, all groups resolved."""

    everyone: bool = False
    included: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()

    def covers(self, user_id: str) -> bool:
        return (self.everyone or user_id in self.included) and user_id not in self.excluded


async def leave_of(client: GraphClient, configuration: Mapping[str, Any]) -> Leave:
    """Who may use a method, as the service sees its groups now. Raises what reading a group raises."""
    if configuration.get("state") != "enabled":
        return Leave()
    include, exclude = (_ids(configuration.get(name)) for name in ("includeTargets", "excludeTargets"))
    everyone = EVERYONE in include
    return Leave(
        everyone,
        frozenset() if everyone else await _members(client, include),
        await _members(client, exclude),
    )


def usable(methods: Iterable[str], leaves: Mapping[str, Leave], user_id: str) -> bool:
    """Is there one among the registered methods that this user may use? ``leaves`` by the method's lower-case id."""
    for method in methods:
        allowed = ALLOWED_BY.get(method)
        if allowed == () or any(leaves.get(each, Leave()).covers(user_id) for each in allowed or ()):
            return True
    return False


def _ids(targets: Iterable[Mapping[str, Any]] | None) -> list[str]:
    return [str(target["id"]) for target in targets or ()]


async def _members(client: GraphClient, groups: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for group in groups:
        path = f"/groups/{segment(group)}/transitiveMembers"
        async for page in client.pages(path, params={"$select": "id", "$top": str(PAGE)}):
            found.update(str(member["id"]) for member in page)
    return frozenset(found)
