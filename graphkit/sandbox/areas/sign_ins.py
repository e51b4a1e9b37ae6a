"""The sign-in log of the last seven days: api-reference/v1.0/api/signin-list.md, resources/signin.md.

It is a sample: of some hundred seeded people, each signs in about once a day, never after they were last here. Each
sign-in tells what every policy that was there by then did, or would have done if it is in report-only mode.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from graphkit.sandbox.areas.access_evaluation import Circumstances, outcome, unmet, who
from graphkit.sandbox.areas.policy_base import absent
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import guid, instant
from graphkit.sandbox.permissions import ACCESS, ACCESS_WRITE, AUDIT
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.seeding.activity import DAY, last_seen_at
from graphkit.sandbox.seeding.credentials import methods_of
from graphkit.sandbox.seeding.seed import APPLICATIONS

routes = Routes()

SIGN_IN_KIND = Kind("auditLogs/signIns", "signIn", page=1000, max_page=1000)
SAMPLE = 600
_ONE_USER = re.compile(r"\buserId\s+eq\s+'([^']*)'(?!.*\bor\b)", re.IGNORECASE)
_APPS = tuple(APPLICATIONS)[:4]
# What signin.md calls a client, and what a policy does; then how many of 100 sign-ins are of it.
_CLIENTS = (("Browser", "browser", 55), ("Mobile Apps and Desktop clients", "mobileAppsAndDesktopClients", 42),
            ("Exchange ActiveSync", "exchangeActiveSync", 1), ("IMAP4", "other", 2))  # fmt: skip
_PLATFORMS = (("Windows 11", "windows", 70), ("iOS 17", "iOS", 15), ("Android 14", "android", 10),
              ("macOS 14", "macOS", 5))  # fmt: skip
_NETWORKS = (("203.0.113", "GB", 60), ("198.51.100", "GB", 38), ("192.0.2", "FR", 2))  # RFC 5737
_CONTROLS = {"block": "Block", "mfa": "Mfa", "compliantDevice": "RequireCompliantDevice",
             "domainJoinedDevice": "RequireDomainJoinedDevice", "approvedApplication": "RequireApprovedApp",
             "compliantApplication": "RequireCompliantApp", "passwordChange": "RequirePasswordChange"}  # fmt: skip
_DEVICE: Json = {"deviceId": "", "displayName": None, "browser": "Edge 120.0", "isManaged": None, "trustType": None}
_NO_RISK: Json = {
    **dict.fromkeys(("riskDetail", "riskLevelAggregated", "riskLevelDuringSignIn", "riskState"), "none"),
    "riskEventTypes": [],
    "riskEventTypes_v2": [],
}
_REPORT_ONLY = {"success": "reportOnlySuccess", "failure": "reportOnlyFailure", "interrupted": "reportOnlyInterrupted"}


class _Event(NamedTuple):
    at: float
    user_id: str

    @property
    def dice(self) -> bytes:
        return hashlib.sha256(f"{self.user_id}/{self.at:.0f}".encode()).digest()

    @property
    def id(self) -> str:
        return guid("sign-in", self.user_id, f"{self.at:.0f}")


def _events(call: Call) -> list[_Event]:
    """Newest first. The log ends with yesterday, so that pages hold still all day."""
    found = [event for user_id in _sample(call) for event in _of_user(call, user_id)]
    return sorted(found, reverse=True)


def _sample(call: Call) -> Iterator[str]:
    population = call.tenant.seed.staff
    step = max(1, len(population) // SAMPLE)
    wanted = _ONE_USER.search(call.query.get("$filter"))
    if wanted:
        position = population.position(wanted[1].lower())
        return iter([wanted[1].lower()] if position is not None and position % step == 0 else [])
    return (population.key(position) for position in range(0, len(population), step))


def _of_user(call: Call, user_id: str) -> Iterator[_Event]:
    last = last_seen_at(user_id, call.tenant, call.now)
    first_day = call.now // DAY * DAY - 7 * DAY
    if last is None or last < first_day or user_id not in call.tenant.state.table("users").objects:
        return
    yield _Event(last, user_id)
    for day in range(int(first_day), int(last // DAY * DAY), DAY):
        dice = hashlib.sha256(f"{user_id}/{day}".encode()).digest()
        if dice[0] % 10 < 7:
            yield _Event(day + 25_200 + int.from_bytes(dice[1:3]) % 43_200, user_id)


class _Log(Sequence[Json]):
    """Sign-ins, told in full when they are looked at."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._events = _events(call)
        self._who: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        rows = call.tenant.state.table("policies").objects.values()
        self._policies = [(datetime.fromisoformat(each["createdDateTime"]).timestamp(), each) for each in rows]
        # Who may read policies may see here what they did; others see none (the "Permissions" of signin-list.md).
        self._may_see = call.permissions is None or not call.permissions.isdisjoint((*ACCESS, *ACCESS_WRITE))
        self._evolved = "include-unknown-enum-members" in call.headers.get("prefer", "")

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, place: Any) -> Any:
        return self.told(self._events[place])

    def find(self, key: str) -> Json | None:
        return next((self.told(event) for event in self._events if event.id == key), None)

    def told(self, event: _Event) -> Json:
        user = self._call.tenant.state.table("users").objects[event.user_id]
        at, client, system = self._scene(event, user)
        applied = [self._applied(policy, at) for made, policy in self._policies if made <= event.at]
        results = {each["result"] for each in applied}
        blocked = "failure" in results
        return {
            "id": event.id,
            "createdDateTime": instant(event.at),
            "userDisplayName": user.get("displayName"),
            "userPrincipalName": user.get("userPrincipalName"),
            "userId": event.user_id,
            "appId": at.app,
            "appDisplayName": APPLICATIONS[at.app],
            "ipAddress": at.address,
            "clientAppUsed": client,
            "correlationId": guid("correlation", event.id),
            "conditionalAccessStatus": "failure" if blocked else "success" if "success" in results else "notApplied",
            "isInteractive": True,
            **_NO_RISK,
            "resourceDisplayName": APPLICATIONS[at.app],
            "resourceId": at.app,
            "status": _status(blocked),
            "deviceDetail": {**_DEVICE, "operatingSystem": system, "isCompliant": at.compliant},
            "location": {"city": None, "state": None, "countryOrRegion": at.country, "geoCoordinates": None},
            "appliedConditionalAccessPolicies": [self._shown(each) for each in applied] if self._may_see else [],
        }

    def _scene(self, event: _Event, user: Json) -> tuple[Circumstances, str, str]:
        """How somebody signed in; by the dice, but MFA only by whoever is registered for it."""
        dice = event.dice
        (client, kind), (system, platform) = _drawn(_CLIENTS, dice[0]), _drawn(_PLATFORMS, dice[1])
        network, country = _drawn(_NETWORKS, dice[2])
        if event.user_id not in self._who:
            self._who[event.user_id] = who(self._call, user)
        groups, roles = self._who[event.user_id]
        modern = kind not in ("other", "exchangeActiveSync")
        at = Circumstances(
            user_id=event.user_id,
            groups=groups,
            roles=roles,
            guest=user.get("userType") == "Guest",
            app=_APPS[dice[3] % len(_APPS)],
            client=kind,
            platform=platform,
            address=f"{network}.{dice[6]}",
            country=country,
            compliant=platform == "windows" and dice[4] % 10 < 8,
            mfa=modern and dice[5] % 10 < 7 and bool(methods_of(event.user_id, self._call.tenant)),
        )
        return at, client, system

    def _applied(self, policy: Json, at: Circumstances) -> Json:
        """What a policy did: as it is today, since the tenant does not remember what it was (assumption)."""
        applies = policy["state"] != "disabled" and not unmet(self._call, policy, at)
        asked = outcome(policy, at) if applies else ""
        if policy["state"] == "disabled":
            result = "notEnabled"
        elif policy["state"] == "enabled":
            # Whoever is asked for more and has it gives it; the log tells the end.
            able = asked == "interrupted" and methods_of(at.user_id, self._call.tenant)
            result = "notApplied" if not applies else "success" if asked == "success" or able else "failure"
        else:
            result = _REPORT_ONLY.get(asked, "reportOnlyNotApplied")
        grant = (policy["grantControls"] or {}) if applies else {}
        session = (policy["sessionControls"] or {}) if applies else {}
        return {
            "id": policy["id"],
            "displayName": policy["displayName"],
            "enforcedGrantControls": [_CONTROLS.get(name, name) for name in grant.get("builtInControls") or []],
            "enforcedSessionControls": [f"{name[0].upper()}{name[1:]}" for name, value in session.items() if value],
            "result": result,
        }

    def _shown(self, applied: Json) -> Json:
        """appliedconditionalaccesspolicy.md: an evolvable enumeration, told in full to whoever prefers it so."""
        hidden = not self._evolved and applied["result"].startswith("reportOnly")
        return {**applied, "result": "unknownFutureValue"} if hidden else applied


def _drawn(table: tuple[tuple[str, str, int], ...], dice: int) -> tuple[str, str]:
    number = dice * 100 // 256
    for first, second, share in table:
        if number < share:
            return first, second
        number -= share
    return table[-1][:2]


def _status(blocked: bool) -> Json:
    reason = "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."
    return {"errorCode": 53003 if blocked else 0, "failureReason": reason if blocked else "Other.",
            "additionalDetails": None}  # fmt: skip


@routes.get("/auditLogs/signIns", AUDIT, page="signin-list")
def list_sign_ins(call: Call) -> Reply:
    return listing(call, SIGN_IN_KIND, _Log(call))


@routes.get("/auditLogs/signIns/{sign_in}", AUDIT, page="signin-get")
def get_sign_in(call: Call) -> Reply:
    found = _Log(call).find(call.params["sign_in"])
    if found is None:
        raise absent("SignIn", call.params["sign_in"])
    return entity(call, SIGN_IN_KIND, found)
