"""The lock-out proof, without I/O: policies and accounts in, findings out.

What decides is only who a policy is for and what it asks; the circumstances of a sign-in (application, place, device,
risk) are not looked at, for in an emergency nobody can choose them. So a policy that is for an account must be one
that the account can satisfy from anywhere, with what it is known to hold. Of the controls
(https://learn.microsoft.com/graph/api/resources/conditionalaccessgrantcontrols):

* ``block`` is never satisfied, nor are those that need a managed device or application, a changed password or a
  service of somebody else;
* ``mfa`` is, if a second factor is registered; an authentication strength, if a FIDO2 key is and the strength takes it;
* terms of use are, since whoever signs in can accept them; session controls ask for nothing.

A policy does not catch an account that it leaves out by its id or by a group that is assigned, not dynamic. A role is
no such exception: it may end on its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphkit.resources.memberships import Membership

Policy = Mapping[str, Any]
"""As Graph shows it, with ids; ``group:<key>`` for a group that is still to be made."""

ON = "enabled"
SECOND_FACTORS = frozenset(
    {
        "fido2AuthenticationMethod",
        "hardwareOathAuthenticationMethod",
        "microsoftAuthenticatorAuthenticationMethod",
        "phoneAuthenticationMethod",
        "platformCredentialAuthenticationMethod",
        "softwareOathAuthenticationMethod",
        "windowsHelloForBusinessAuthenticationMethod",
    }
)
"""Registered methods that satisfy ``mfa`` (https://learn.microsoft.com/graph/api/resources/authenticationmethods-overview).
An e-mail address and a password do not; a temporary access pass runs out."""
KEY = "fido2AuthenticationMethod"
_NAMES = {
    "block": "blocks",
    "compliantDevice": "asks for a compliant device",
    "domainJoinedDevice": "asks for a hybrid joined device",
    "approvedApplication": "asks for an approved app",
    "compliantApplication": "asks for an app with a protection policy",
    "passwordChange": "asks for a new password",
    "riskRemediation": "asks for a risk to be remediated",
}


class Finding(NamedTuple):
    """One policy locks one account out: how it reaches it, and what it asks."""

    policy: str
    account: str
    path: str
    demand: str

    def __str__(self) -> str:
        if not self.policy:
            return f"break-glass {self.account}: {self.demand}"
        return f"policy {self.policy} would lock out break-glass {self.account}: it {self.path} and {self.demand}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An emergency access account as the service tells of it; ids in lower case.

    ``roles`` are template ids, None where nobody may read them: then it may hold any. ``methods`` are the types of its
    registered authentication methods, None where nobody may read them either. ``why`` says what could not be looked up.
    """

    name: str
    id: str = ""
    upn: str = ""
    enabled: bool = True
    guest: bool = False
    membership: Membership = field(default_factory=Membership)
    roles: frozenset[str] | None = frozenset()
    methods: frozenset[str] | None = None
    why: str = ""


def lock_outs(
    policies: Mapping[str, Policy], accounts: Iterable[Account], dynamic: Collection[str] = ()
) -> Iterator[Finding]:
    """Every policy that is on and every account that it would lock out; accounts that are off or unknown besides.

    A policy that only reports locks nobody out.

    ``policies`` are by name, ``dynamic`` the ids of those groups that policies name with a rule, or hidden membership.
    """
    for account in accounts:
        if account.why:
            yield Finding("", account.name, "", account.why)
            continue
        if not account.enabled:
            yield Finding("", account.name, "", "the account is disabled")
        for name, policy in policies.items():
            if policy.get("state") == ON:
                yield from lock_out(name, policy, account, dynamic)


def lock_out(name: str, policy: Policy, account: Account, dynamic: Collection[str] = ()) -> Iterator[Finding]:
    """One policy, as if it were on, and one account."""
    path = reaches(policy, account, dynamic)
    demand = demands(policy, account) if path else ""
    if demand:
        yield Finding(name, account.name, path, demand)


def reaches(policy: Policy, account: Account, dynamic: Collection[str] = ()) -> str:
    """How a policy comes to be for an account; empty if it is not."""
    users = (policy.get("conditions") or {}).get("users") or {}
    path = _included(users, account, dynamic)
    return "" if path and _excluded(users, account) else path


def _included(users: Mapping[str, Any], account: Account, dynamic: Collection[str]) -> str:
    named = _lower(users.get("includeUsers"))
    groups = _lower(users.get("includeGroups"))
    if "all" in named:
        return "includes all users"
    if account.id in named:
        return "includes it by its id"
    if within := sorted(groups & account.membership.groups):
        return f"includes the group {within[0]}, which it is in"
    if rules := sorted(groups & frozenset(dynamic)):
        return f"includes the group {rules[0]}, whose rule may take it in at any time or whose membership is hidden"
    named_roles = _lower(users.get("includeRoles"))
    if account.roles is None and named_roles:
        return "includes directory roles, and whether it holds one may not be read (RoleManagement.Read.Directory)"
    if roles := sorted(named_roles & (account.roles or frozenset())):
        return f"includes the role {roles[0]}, which it holds"
    if account.guest and ("guestsorexternalusers" in named or users.get("includeGuestsOrExternalUsers")):
        return "includes guests, and it is one"
    return ""


def _excluded(users: Mapping[str, Any], account: Account) -> bool:
    by_group = _lower(users.get("excludeGroups")) & account.membership.solid
    return account.id in _lower(users.get("excludeUsers")) or bool(by_group)


def _lower(names: Iterable[Any] | None) -> frozenset[str]:
    return frozenset(str(name).lower() for name in names or ())


def demands(policy: Policy, account: Account) -> str:
    """What a policy asks that the account is not known to have; empty if it can be satisfied."""
    grant = policy.get("grantControls") or {}
    asked = [*_asked(grant, account)]
    unmet = [text for text in asked if text]
    if not unmet or (grant.get("operator") == "OR" and len(unmet) < len(asked)):
        return ""
    return (" and " if grant.get("operator") == "AND" else " or ").join(unmet)


def _asked(grant: Mapping[str, Any], account: Account) -> Iterator[str]:
    """One text for each control: empty if the account can satisfy it."""
    for control in grant.get("builtInControls") or ():
        if control == "mfa":
            yield "" if SECOND_FACTORS & (account.methods or frozenset()) else f"asks for MFA, {_unknown(account)}"
        else:
            yield _NAMES.get(control, f"asks for {control}")
    if strength := grant.get("authenticationStrength"):
        takes_keys = "fido2" in (strength.get("allowedCombinations") or ())
        has_one = KEY in (account.methods or frozenset())
        named = strength.get("displayName") or strength.get("id")
        yield "" if takes_keys and has_one else f"asks for the authentication strength {named}, {_unknown(account)}"
    for _ in grant.get("termsOfUse") or ():
        yield ""
    for name in grant.get("customAuthenticationFactors") or ():
        yield f"asks for {name}"


def _unknown(account: Account) -> str:
    if account.methods is None:
        return "and what it has registered may not be read (UserAuthenticationMethod.Read.All)"
    return "for which it has nothing registered"
