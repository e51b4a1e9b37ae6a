"""Headings of well-known exports, and which canonical column each one means."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

# Canonical columns by heading, in lower case with single underscores. Where a heading means different things to
# different recipes, the first column that the recipe has is taken.
ALIASES: dict[str, tuple[str, ...]] = {
    # Microsoft 365 admin centre, "Add multiple users" and "Export users"
    # (https://learn.microsoft.com/microsoft-365/enterprise/add-several-users-at-the-same-time)
    "user_name": ("upn",),
    "username": ("upn",),
    "user_principal_name": ("upn",),
    "mobile_phone": ("mobile",),
    "licenses": ("sku",),
    # Graph property names, as in Entra's "Download users" and in brackets in its bulk templates
    # (https://learn.microsoft.com/entra/identity/users/users-bulk-add)
    "userprincipalname": ("upn",),
    "displayname": ("display_name",),
    "givenname": ("first_name",),
    "surname": ("last_name",),
    "jobtitle": ("job_title",),
    "employeeid": ("employee_id",),
    "usagelocation": ("usage_location",),
    "memberobjectidorupn": ("upn",),
    "inviteeemail": ("email", "upn"),
    "skupartnumber": ("sku",),
    "skuid": ("sku",),
    # Teams admin centre, batch templates for teams and for members
    "team_name": ("display_name", "team_key"),
    "existing_team_id": ("team_id",),
    "team_template_id": ("template",),
    "user_full_name": ("display_name",),
    "user_upn_or_id": ("upn",),
    "actiontype": ("action",),
    "owner_or_member": ("role",),
    # Hardware hashes collected for Windows Autopilot (https://learn.microsoft.com/autopilot/add-devices)
    "device_serial_number": ("serial",),
    "windows_product_id": ("product_id",),
    # Lists exported from portals
    "email_address": ("email", "upn"),
    "email": ("upn",),
    # The other spelling of the noun
    "licence": ("sku",),
    "license": ("sku",),
    "license_profile": ("licence_profile",),
}

_BRACKETED = re.compile(r".*\[(\w+)\]\s*(?:required|optional)?\s*", re.IGNORECASE | re.DOTALL)

_SECRET = re.compile(
    r"pass(word|wort|phrase|code)|mot de passe|contrase[nñ]a|\b(pwd|tap|secret|temporary access pass|recovery key)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Match:
    """``places``: canonical column to index of its cell; ``ignored``: headings no column was found for; ``aliased``:
    columns that were found by another name."""

    places: dict[str, int]
    ignored: list[str]
    problems: list[str]
    aliased: set[str] = field(default_factory=set)


def match_header(header: Sequence[str], known: Collection[str]) -> Match:
    """Find the ``known`` columns in ``header``: by their own name first, then by an alias, never by guessing."""
    normal = [_normalise(heading) for heading in header]
    match = Match({}, [], [*_repeated(header), *_spelt_otherwise(header, normal, known)])
    match.places.update((name, index) for index, name in enumerate(normal) if name in known)
    exact = set(match.places)
    for index, name in enumerate(normal):
        column = next((column for column in ALIASES.get(name, ()) if column in known), None)
        if name in exact or not name:
            continue
        if column is None or column in exact:
            match.ignored.append(header[index].strip())
        elif column in match.places:
            first = header[match.places[column]].strip()
            match.problems.append(f"{first!r} and {header[index].strip()!r} both mean {column}: remove one of them")
        else:
            match.places[column] = index
            match.aliased.add(column)
    return match


def pick_header(header: Sequence[str], wanted: Collection[str]) -> Match:
    """Find headings exactly as written; what is not wanted is not mentioned."""
    trimmed = [heading.strip() for heading in header]
    places = {name: trimmed.index(name) for name in wanted if name in trimmed}
    return Match(places, [], _repeated([heading for heading in trimmed if heading in places]))


def secret_places(header: Sequence[str], places: Collection[int]) -> dict[int, str]:
    """Headings of passwords and the like, by their place, but for the ``places`` that are read."""
    return {
        place: heading.strip()
        for place, heading in enumerate(header)
        if place not in places and _SECRET.search(heading.replace("_", " "))
    }


def _repeated(header: Sequence[str]) -> list[str]:
    normal = [heading.strip().lower() for heading in header]
    twice = dict.fromkeys(name for name in normal if name and normal.count(name) > 1)
    return [f"the heading {name!r} occurs {normal.count(name)} times" for name in twice]


def _spelt_otherwise(header: Sequence[str], normal: Sequence[str], known: Collection[str]) -> list[str]:
    """``Last Name`` beside ``last_name``: one column twice, of which nobody knows which is meant."""
    found: dict[str, list[str]] = {}
    for heading, name in zip(header, normal, strict=True):
        if name in known and heading.strip().lower() not in map(str.lower, found.setdefault(name, [])):
            found[name].append(heading.strip())
    return [
        f"{' and '.join(map(repr, headings))} both mean {name}: remove one of them"
        for name, headings in found.items()
        if len(headings) > 1
    ]


def _normalise(heading: str) -> str:
    """``User name [userPrincipalName] Required`` is ``userprincipalname``; ``Team Key`` is ``team_key``."""
    bracketed = _BRACKETED.fullmatch(heading)
    name = bracketed[1] if bracketed else heading
    return re.sub(r"[\s_-]+", "_", name.strip().lower())
