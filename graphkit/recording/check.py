"""Does a cassette, or an input beside it, hold anything that looks like a leak?

The recorder's allow-list is what keeps people out of a cassette; this looks at what came out, with other eyes: also at
files that were edited by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from graphkit.recording import known
from graphkit.recording.cassette import inputs_of
from graphkit.recording.pseudonyms import PHONE as FICTIONAL
from graphkit.recording.pseudonyms import is_everybodys, is_pseudonym
from graphkit.recording.redaction import GUID, MAIL, PHONE, REMOVED

_SECRET_FIELD = re.compile(
    r'"(?P<name>password|secretText|clientSecret|client_secret|accessToken|access_token|refreshToken|refresh_token|id_token'
    r'|privateKey|authorization|cookie|set-cookie|proxy-authorization|temporaryAccessPass)"\s*:\s*"(?P<value>[^"]*)"',
    re.I,
)
_LOOKS = (
    ("a token (JWT)", re.compile(r"eyJ[\w-]{8,}\.[\w-]+")),
    ("a bearer token", re.compile(r"\b(?:Bearer|Basic)\s+[\w.~+/=-]{8,}")),
    ("a private key or certificate", re.compile(r"-----BEGIN [A-Z0-9 ]+-----")),
    ("a client secret", re.compile(r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])")),
    ("a signature", re.compile(r"[?&](?:sig|sv|se|code|token)=[^&\s\"]{16,}")),
    (
        "key material",
        re.compile(r"(?=[A-Za-z0-9+/_-]*[A-Z])(?=[A-Za-z0-9+/_-]*\d)(?<![\w+/])[A-Za-z0-9+/_-]{200,}={0,2}"),
    ),
)
_DASHLESS = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}(?![0-9a-zA-Z])")


class Finding(NamedTuple):
    """``line`` counts from 1. The leak itself is not repeated, its beginning apart."""

    file: str
    line: int
    what: str
    shown: str


def findings(path: Path) -> Iterator[Finding]:
    """All that looks like a leak in the cassette ``path`` and in the files beside it."""
    folder = inputs_of(path)
    beside = sorted(each for each in folder.rglob("*") if each.is_file()) if folder.is_dir() else []
    for file in (path, *beside):
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            for what, text in _in_line(line):
                yield Finding(str(file), number, what, f"{text[:4]}... ({len(text)} characters)")


def _in_line(line: str) -> Iterator[tuple[str, str]]:
    for what, looks in _LOOKS:
        yield from ((what, match[0]) for match in looks.finditer(line))
    for match in _SECRET_FIELD.finditer(line):
        if match["value"] not in ("", REMOVED):
            yield "a secret by its name", match["value"]
    for match in MAIL.finditer(line):
        if not _is_nobodys(match["domain"].lower()):
            yield "an address outside .example", match[0]
    for match in PHONE.finditer(line):
        if not re.sub(r"\D", "", match[0]).startswith(FICTIONAL):
            yield "a telephone number", match[0]
    for match in re.finditer(rf"(?<![0-9a-zA-Z]){GUID}(?![0-9a-zA-Z])", line):
        if not _is_known(match[0].lower()):
            yield "an id that is no pseudonym", match[0]
    yield from (("an id that is no pseudonym", match[0]) for match in _DASHLESS.finditer(line))


def _is_nobodys(domain: str) -> bool:
    return domain.endswith(".example") or any(
        domain == each or domain.endswith(f".{each}") for each in known.PUBLIC_DOMAINS
    )


def _is_known(guid: str) -> bool:
    return is_pseudonym(guid) or is_everybodys(guid) or guid in known.names("guid")
