"""Whom a write concerns, read from its method, path and body: what the safety rails judge at the wire.

A caller's own account of what it does is not asked for here, so that a slip of a resource, a raw request and the SDK
are judged alike. Paths are those of v1.0 and beta (https://learn.microsoft.com/graph/api/overview).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import msgspec

from graphkit.protocol.message import Request

POLICIES = "identity/conditionalaccess/policies"
LOCATIONS = "identity/conditionalaccess/namedlocations"
ISSUES_ACCESS = "issues a pass to sign in as"
"""Whoever holds a pass is that person: for accounts that no run may harm that is as good as harm."""
_KEYED = re.compile(r"(?P<noun>[A-Za-z0-9]+)\((?P<key>.*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """Whom a write concerns; ids in lower case, of users also the name where that is all that was given.

    ``harm`` says what it takes from ``users`` or, where there are none, from the members of ``groups``. ``joins`` and
    ``leaves``: the users become or cease to be members of the groups, or holders of ``roles``. ``enabled`` is the state
    that accounts get. ``account``: their own properties or credentials are written. ``privileged`` says why a write
    needs ``--allow-privileged`` whoever it concerns. ``rule``: a rule of membership is set. ``policy``: a conditional
    access policy is written.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    harm: str = ""
    joins: bool = False
    leaves: bool = False
    enabled: bool | None = None
    account: bool = False
    privileged: str = ""
    rule: bool = False
    policy: bool = False


NOBODY = Touch()


def touch_of(request: Request) -> Touch:
    """Whom a write concerns, as far as its address and body say."""
    parts = segments(request.path)
    if not parts:
        return NOBODY
    match parts[0].lower():
        case "users" | "directoryobjects" if len(parts) > 1:
            return _user(request, parts)
        case "me":
            return Touch(account=True)
        case "groups" if len(parts) > 1:
            return _group(request, parts)
        case "groups":
            return _new_group(request)
        case "teams" if len(parts) > 2:
            return _team(request, parts)
        case "directoryroles" | "rolemanagement":
            return _role(request, parts)
        case "applications" | "serviceprincipals" | "oauth2permissiongrants":
            return _app(request, parts)
        case "identity" if "/".join(parts[:3]).lower() in (POLICIES, LOCATIONS):
            return Touch(policy=True)
    return NOBODY


def segments(path: str) -> list[str]:
    """The decoded parts of a path below the version, a key in brackets as a part of its own."""
    address = path.partition("?")[0]
    if "://" in address:
        address = address.split("/", 4)[-1]
    found: list[str] = []
    for part in address.strip("/").split("/"):
        keyed = _KEYED.fullmatch(part)
        found += [keyed["noun"], unquote(keyed["key"]).strip("'")] if keyed and keyed["key"] else [unquote(part)]
    return found


def _user(request: Request, parts: Sequence[str]) -> Touch:
    whom = (parts[1].lower(),)
    tail = [part.lower() for part in parts[2:]]
    last = tail[-1].rpartition(".")[2] if tail else ""
    body = _body(request)
    if request.method == "DELETE" and not tail:
        return Touch(users=whom, harm="deletes", account=True)
    if tail[:1] == ["authentication"]:
        harm = "takes a sign-in method from" if request.method == "DELETE" else ""
        if tail[1:2] == ["temporaryaccesspassmethods"] and request.method == "POST":
            harm = ISSUES_ACCESS
        return Touch(users=whom, account=True, harm=harm)
    if last == "assignlicense":
        return Touch(users=whom, harm="takes licences from" if body.get("removeLicenses") else "")
    if last in ("revokesigninsessions", "changepassword", "invalidateallrefreshtokens"):
        return Touch(users=whom, account=True, harm="signs out" if last != "changepassword" else "")
    if tail[:1] == ["approleassignments"]:
        return Touch(users=whom, privileged="gives or takes an app role")
    if not tail and request.method in ("PATCH", "PUT"):
        enabled = body.get("accountEnabled")
        harm = "disables" if enabled is False else ""
        return Touch(users=whom, account=True, enabled=enabled if isinstance(enabled, bool) else None, harm=harm)
    return Touch(users=whom)


def _new_group(request: Request) -> Touch:
    body = _body(request)
    power = "makes a group that may hold directory roles" if body.get("isAssignableToRole") else ""
    return Touch(users=(*_bound(body, "members"), *_bound(body, "owners")), privileged=power)


def _group(request: Request, parts: Sequence[str]) -> Touch:
    groups = (parts[1].lower(),)
    tail = [part.lower() for part in parts[2:]]
    body = _body(request)
    if tail[:1] in (["members"], ["owners"]):
        member = tail[0] == "members"
        removes = request.method == "DELETE"
        users = (tail[1],) if len(tail) > 1 and tail[1] != "$ref" else tuple(_referred(body))
        harm = f"removes from {'a group' if member else 'the owners of a group'}" if removes else ""
        return Touch(users=users, groups=groups, harm=harm, joins=member and not removes, leaves=member and removes)
    if tail and tail[-1].rpartition(".")[2] == "assignlicense":
        return Touch(groups=groups, harm="takes licences from" if body.get("removeLicenses") else "")
    if request.method == "DELETE" and not tail:
        return Touch(groups=groups, harm="deletes a group of", leaves=True)
    if tail:
        return Touch(groups=groups)
    touch = replace(_new_group(request), groups=groups, rule="membershipRule" in body)
    return replace(touch, joins=bool(touch.users))


def _team(request: Request, parts: Sequence[str]) -> Touch:
    """Members of a team are members of its group, which has the same id."""
    groups = (parts[1].lower(),)
    if parts[2].lower() != "members":
        return Touch(groups=groups)
    body = _body(request)
    values = body.get("values")
    people = [each for each in values if isinstance(each, dict)] if isinstance(values, list) else [body]
    users = tuple(user for each in people for user in _referred({"@odata.id": each.get("user@odata.bind")}))
    removes = request.method == "DELETE" or parts[-1].lower() == "remove"
    harm = "removes from a team" if removes else ""
    return Touch(users=users, groups=groups, harm=harm, joins=not removes, leaves=removes)


def _role(request: Request, parts: Sequence[str]) -> Touch:
    body = _body(request)
    users = [str(body[name]).lower() for name in ("principalId",) if body.get(name)]
    users += [*_referred(body)]
    if len(parts) > 3 and parts[2].lower() == "members":
        users.append(parts[3].lower())
    return Touch(
        users=tuple(dict.fromkeys(user for user in users if user != "$ref")),
        groups=tuple(users),
        roles=tuple(str(body[name]).lower() for name in ("roleDefinitionId",) if body.get(name)),
        harm="takes a directory role from" if request.method == "DELETE" else "",
        joins=request.method != "DELETE",
        leaves=request.method == "DELETE",
        privileged="gives or takes a directory role",
    )


_APP_POWERS = {
    "addpassword": "gives an application a credential",
    "addkey": "gives an application a credential",
    "removepassword": "takes a credential from an application",
    "removekey": "takes a credential from an application",
    "approleassignments": "gives or takes a permission of an application",
    "approleassignedto": "gives or takes a permission of an application",
    "federatedidentitycredentials": "lets somebody else sign in as an application",
    "owners": "changes who owns an application",
}


def _app(request: Request, parts: Sequence[str]) -> Touch:
    if parts[0].lower() == "oauth2permissiongrants":
        return Touch(privileged="gives or takes consent")
    tail = [part.lower().rpartition(".")[2] for part in parts[2:]]
    why = next((_APP_POWERS[part] for part in tail if part in _APP_POWERS), "")
    credentials = {"passwordCredentials", "keyCredentials", "requiredResourceAccess"} & set(_body(request))
    return Touch(privileged=why or ("writes credentials or permissions of an application" if credentials else ""))


def _body(request: Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(request.body or b"{}")
    except msgspec.DecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _bound(body: dict[str, Any], name: str) -> Iterator[str]:
    links = body.get(f"{name}@odata.bind")
    for link in links if isinstance(links, list) else ():
        yield from _referred({"@odata.id": link})


def _referred(body: dict[str, Any]) -> Iterator[str]:
    """The id at the end of a reference: ``.../users/{id}``, ``.../directoryObjects('{id}')``."""
    link = body.get("@odata.id")
    if isinstance(link, str) and link:
        # Twenty to a request, so that the whole address is not taken apart: it is its end that counts.
        end = link.partition("?")[0].rstrip("/").rpartition("/")[2]
        yield unquote(end.rpartition("(")[2].rstrip(")").strip("'")).lower()
