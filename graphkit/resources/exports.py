"""Policies as the files of ``graphkit export`` hold them: names for ids, one order, nothing that only a server writes.

What reads them again are the recipes ``identity.conditional-access`` and ``devices.policies``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphkit.engine.change import canonical as as_json
from graphkit.engine.resource import Context
from graphkit.errors import ServiceError
from graphkit.protocol.odata import segment
from graphkit.protocol.schema import Version, arranged, canonical, clean, schema, validate, without_nulls
from graphkit.resources.access_places import put, references, word
from graphkit.resources.assignments import EVERYBODY, FILTER_ID, MADE
from graphkit.resources.compliance import RULES, WITH_ACTIONS
from graphkit.resources.intune import Endpoint
from graphkit.resources.intune_policies import TAGS, TYPE
from graphkit.resources.managed_apps import identifiers
from graphkit.resources.markers import without_marker
from graphkit.resources.naming import Namer
from graphkit.resources.new_groups import TOLD
from graphkit.resources.secrets import SECRET_NAMES, masked, plain_secrets, sealed
from graphkit.resources.users import GUID

_FIRST = (TYPE, "displayName", "name", "description")
_LAST = ("apps", "assignments")
_NO_TEMPLATE = ("", "00000000-0000-0000-0000-000000000000")


@dataclass(slots=True)
class Exported:
    """One object. ``secrets`` are the places whose values are not in ``body``, ``notes`` what its reader must know."""

    object_id: str
    name: str
    body: dict[str, Any]
    secrets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


# -- conditional access


async def export_named(context: Context, namer: Namer, path: str, kind: str, *, beta: bool) -> list[Exported]:
    """Conditional access policies or named locations (``kind``). Raises what stops the list."""
    version: Version = "beta" if beta else "v1.0"
    live = [each async for each in context.client.list(path, version=version)]
    bodies = [canonical(each, kind, version) for each in live]
    used = [(noun, each) for body in bodies for _, noun, ids in references(body) for each in ids]
    for noun in sorted({noun for noun, _ in used}):
        await namer.learn(noun, (each for what, each in used if what == noun))
    return [_named(raw, body, namer, kind, version) for raw, body in zip(live, bodies, strict=True)]


def _named(raw: Mapping[str, Any], body: dict[str, Any], namer: Namer, kind: str, version: Version) -> Exported:
    notes = []
    for place, noun, ids in references(body):
        # A name that means something of its own in this place would not be taken for a name.
        names = {each: each if word(noun, namer.name(noun, each)) else namer.name(noun, each) for each in ids}
        put(body, place, noun, names)
        notes += [namer.unnamed[noun, each.lower()] for each in ids if (noun, each.lower()) in namer.unnamed]
    body = {TYPE: f"#microsoft.graph.{kind}", **canonical(body, kind, version)}
    return Exported(str(raw["id"]), str(body["displayName"]), _in_order(body), [], [*notes, *_unsound(body, kind)])


# -- Intune


async def export_policies(
    context: Context, namer: Namer, endpoint: Endpoint, types: Sequence[str], *, beta: bool
) -> list[Exported]:
    """The policies of one collection, those of ``types`` only if any are given. Raises what stops a list."""
    version: Version = "beta" if beta or endpoint.beta_only else "v1.0"
    listed = [each async for each in context.client.list(endpoint.path, version=version)]
    chosen = [each for each in listed if not types or _type_of(each) in types]
    found = await asyncio.gather(*(_whole(context, endpoint, each, version) for each in chosen))
    there = [(live, targets) for live, targets in (pair for pair in found if pair)]
    await _learn(namer, there, beta=version == "beta")
    return [_policy(live, targets, endpoint, namer, version) for live, targets in there]


def _type_of(live: Mapping[str, Any]) -> str:
    return str(live.get(TYPE, "")).rpartition(".")[2]


_Pair = tuple[dict[str, Any], list[dict[str, Any]]]


async def _whole(context: Context, endpoint: Endpoint, listed: dict[str, Any], version: Version) -> _Pair | None:
    """A policy with what a list leaves out, and its targets; None if it went in the meantime."""
    path = f"{endpoint.path}/{segment(str(listed['id']))}"
    detail = WITH_ACTIONS if endpoint.kind == "deviceCompliancePolicy" else endpoint.detail
    try:
        live = await context.client.get(path + detail, version=version) if detail else listed
        if not endpoint.assigned:
            return live, []
        assignments = context.client.list(f"{path}/assignments", version=version)
        return live, [dict(each["target"]) async for each in assignments]
    except ServiceError as error:
        if error.status != 404:
            raise
        return None


async def _learn(namer: Namer, there: Sequence[_Pair], *, beta: bool) -> None:
    targets = [target for _, each in there for target in each]
    actions = [action for live, _ in there for action in _actions(live)]
    groups = [target["groupId"] for target in targets if target.get("groupId")]
    await namer.learn("group", [*groups, *(each for action in actions for each in _copied(action))])
    await namer.learn("template", [action["notificationTemplateId"] for action in actions if _template(action)])
    if beta:
        await namer.learn("filter", [target[FILTER_ID] for target in targets if target.get(FILTER_ID)])
        tags = {tag for live, _ in there for tag in live.get(TAGS) or ()} - {"0"}
        await namer.learn("scope tag", tags)


def _policy(
    live: Mapping[str, Any], targets: Sequence[Mapping[str, Any]], endpoint: Endpoint, namer: Namer, version: Version
) -> Exported:
    body = arranged(live, endpoint.kind, version)
    body[TYPE] = str(live.get(TYPE) or f"#microsoft.graph.{endpoint.kind}")
    used = _used(live, targets)
    text = without_marker(body.pop("description", None))
    body |= {"description": text} if text else {}
    body.pop("assignments", None)
    if apps := identifiers(live.get("apps") or ()):
        body["apps"] = [{"mobileAppIdentifier": app} for app in apps]
    else:
        body.pop("apps", None)
    secrets = list(_without_secrets(body, endpoint.kind, version))
    _name_all(body, namer)
    body = {**arranged(body, endpoint.kind, version), **{key: body[key] for key in (TYPE, "apps") if key in body}}
    if endpoint.assigned:
        # Named even where there are none, so that --mode authoritative takes out what was added since.
        body["assignments"] = sorted(({"target": _target(each, namer)} for each in targets), key=as_json)
    notes = [namer.unnamed[each] for each in sorted(used) if each in namer.unnamed]
    if version == "v1.0" and set(live.get(TAGS) or ()) - {"0"}:
        notes.append("its scope tags stay numbers, which other tenants give to other tags: --allow-beta names them")
    return Exported(
        str(live["id"]),
        str(live.get(endpoint.name) or ""),
        _in_order(body),
        secrets,
        [*notes, *_unsound(body, endpoint.kind)],
    )


def _used(live: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """(noun, id) of all that the policy refers to."""
    actions = list(_actions(live))
    return {
        *(("group", str(target["groupId"]).lower()) for target in targets if target.get("groupId")),
        *(("filter", str(target[FILTER_ID]).lower()) for target in targets if target.get(FILTER_ID)),
        *(("group", each.lower()) for action in actions for each in _copied(action)),
        *(("template", str(action["notificationTemplateId"]).lower()) for action in actions if _template(action)),
        *(("scope tag", str(tag).lower()) for tag in live.get(TAGS) or ()),
    }


def _actions(live: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for rule in live.get(RULES) or ():
        yield from rule.get("scheduledActionConfigurations") or ()


def _copied(action: Mapping[str, Any]) -> list[str]:
    """Groups that get a copy of a notification."""
    return [each for each in action.get("notificationMessageCCList") or () if GUID.fullmatch(each)]


def _template(action: Mapping[str, Any]) -> bool:
    return action.get("notificationTemplateId") not in (None, *_NO_TEMPLATE)


def _name_all(body: dict[str, Any], namer: Namer) -> None:
    if TAGS in body:
        body[TAGS] = [namer.name("scope tag", tag) for tag in body[TAGS] or ()]
    for action in _actions(body):
        action["notificationMessageCCList"] = [
            namer.name("group", each) for each in action.get("notificationMessageCCList") or ()
        ]
        template = namer.name("template", action["notificationTemplateId"]) if _template(action) else None
        action["notificationTemplateId"] = template


def _target(target: Mapping[str, Any], namer: Namer) -> dict[str, Any]:
    """Whom an assignment is for: ``groupName`` in the place of ``groupId`` where the name says enough."""
    told = {name: value for name, value in target.items() if value is not None and value != "none"}
    if group := told.pop("groupId", None):
        name = namer.name("group", group)
        is_taken = name.lower() in EVERYBODY or name.startswith(MADE) or GUID.fullmatch(name)
        told |= {"groupId": group.lower()} if is_taken else {"groupName": name}
    if chosen := told.get(FILTER_ID):
        told[FILTER_ID] = namer.name("filter", chosen)
    return dict(sorted(told.items()))


def _without_secrets(body: dict[str, Any], kind: str, version: Version) -> Iterator[str]:
    """The places of secrets, whose values give way to a mask."""
    known, name = schema(version), str(body[TYPE]).rpartition(".")[2]
    # The service never shows whether one of these is set.
    hidden = SECRET_NAMES.intersection(known.structured(name).properties) if name in known else ()
    yield from dict.fromkeys((*sealed(body), *plain_secrets(body), *sorted(hidden)))
    masked(body)


# -- groups, and what all share


def export_groups(namer: Namer) -> list[Exported]:
    """The groups that were referred to by name, without their members."""
    found = []
    for object_id, group in sorted(namer.groups.items()):
        name = namer.name("group", object_id)
        if name != object_id:
            told = {key: value for key in TOLD if (value := group.get(key)) not in (None, "", [])}
            body = {TYPE: "#microsoft.graph.group", "displayName": name, **told}
            found.append(Exported(object_id, name, _in_order(body)))
    return found


def _unsound(body: Mapping[str, Any], kind: str) -> list[str]:
    """What would keep the file from being planned as it is."""
    bare = without_nulls({name: value for name, value in body.items() if name not in _LAST})
    problems = validate(clean(bare, kind), kind)
    beta = [each for each in problems if each.code == "beta-only"]
    if beta:
        problems = validate(clean(bare, kind, "beta"), kind, "beta")
    return [
        *(["needs --allow-beta to be planned"] if beta else []),
        *(f"{each.path}: {each.message}" for each in problems),
    ]


def _in_order(body: Mapping[str, Any]) -> dict[str, Any]:
    middle = sorted(name for name in body if name not in (*_FIRST, *_LAST))
    return {name: body[name] for name in (*_FIRST, *middle, *_LAST) if name in body}
