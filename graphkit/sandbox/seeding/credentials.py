"""Who has registered which authentication methods: one answer for the registration report and for people's methods.

Worked out from the id, as ``activity.py`` does, for the seeded people; whoever was made since has registered nothing.
The names are those of the report (resources/userregistrationdetails.md).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

PHONE = "mobilePhone"
PUSH = "microsoftAuthenticatorPush"
CODES = "softwareOneTimePasscode"
KEY = "fido2"

# Per mille of the seeded people, about 70 % in all: an assumption, not a statistic.
_SHARES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (400, (PUSH, CODES)),
    (120, (PHONE,)),
    (130, (PHONE, PUSH, CODES)),
    (50, (KEY, PUSH, CODES)),
)

POLICY_OF = {
    PHONE: ("Sms", "Voice"),
    "alternateMobilePhone": ("Voice",),
    "officePhone": ("Voice",),
    PUSH: ("MicrosoftAuthenticator",),
    "microsoftAuthenticatorPasswordless": ("MicrosoftAuthenticator",),
    CODES: ("SoftwareOath", "MicrosoftAuthenticator"),
    "hardwareOneTimePasscode": ("HardwareOath",),
    KEY: ("Fido2",),
    "windowsHelloForBusiness": (),
}
"""The configurations of the methods policy that allow a method, any of which will do; none: it needs no leave.

``email`` and ``securityQuestion`` are no strong methods and therefore not here.
"""
PASSWORDLESS = frozenset({KEY, "windowsHelloForBusiness", "microsoftAuthenticatorPasswordless"})


def methods_of(user_id: str, tenant: SimulatedTenant) -> tuple[str, ...]:
    """The methods that a user has registered. :func:`set_methods` says otherwise for one user."""
    said = tenant.state.get("registrations", user_id)
    if said is not None:
        return tuple(said["methods"])
    users = tenant.state.table("users")
    if users.population is None or users.population.position(user_id) is None:
        return ()
    return _by_chance(user_id)


def set_methods(tenant: SimulatedTenant, user_id: str, *methods: str) -> None:
    """Say what one user has registered, for tests and demonstrations."""
    tenant.state.put("registrations", {"id": user_id, "methods": list(methods)})


def _by_chance(user_id: str) -> tuple[str, ...]:
    share = zlib.crc32(f"registered/{user_id}".encode()) % 1000
    for size, methods in _SHARES:
        if share < size:
            return methods
        share -= size
    return ()
