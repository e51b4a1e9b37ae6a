"""What teams and channels are called: the names that an input gives, and those that follow from them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

CHANNEL_NAME_MAX = 50
"""Characters of a channel's name (https://learn.microsoft.com/graph/api/resources/channel)."""
PRIVATE_MAX = 30
"""Private channels of a team (https://learn.microsoft.com/microsoftteams/limits-specifications-teams)."""
KINDS = ("standard", "private", "shared")

# https://learn.microsoft.com/microsoftteams/limits-specifications-teams
_BARRED = re.compile(r"""[~#%&*{}+/\\:<>?|'",\x00-\x1f]|\.\.""")


class Channel(NamedTuple):
    """A channel as an input names it: ``Rotas``, ``Leads:private``. A colon is in no channel's name."""

    name: str
    kind: str


def read_channels(texts: Iterable[str]) -> list[Channel]:
    """Raises ``ValueError`` for a name that Teams would not take, and for one that is there twice."""
    channels = [_read_channel(text) for text in texts]
    folded = [channel.name.casefold() for channel in channels]
    for channel in channels:
        if folded.count(channel.name.casefold()) > 1:
            raise ValueError(f"a channel is there twice: {channel.name}")
    if sum(channel.kind == "private" for channel in channels) > PRIVATE_MAX:
        raise ValueError(f"a team has at most {PRIVATE_MAX} private channels")
    return channels


def _read_channel(text: str) -> Channel:
    name, colon, kind = text.rpartition(":")
    if not colon:
        name, kind = text, KINDS[0]
    if kind.strip().lower() not in KINDS:
        raise ValueError(f"{text}: a channel is {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind.strip()}")
    return Channel(_check_name(name.strip()), kind.strip().lower())


def _check_name(name: str) -> str:
    if not name or len(name) > CHANNEL_NAME_MAX:
        raise ValueError(f"{name}: a channel's name has at most {CHANNEL_NAME_MAX} characters, and at least one")
    if found := _BARRED.search(name):
        raise ValueError(f"{name}: a channel's name may not hold {found[0]}")
    if name.startswith(("_", ".")) or name.endswith("."):
        raise ValueError(f"{name}: a channel's name may not begin with _ or . nor end with .")
    return name


def unique_name(org: str, team_key: str) -> str:
    """What a group, and with it the team, is known by."""
    return f"{org}-{slug(team_key)}".lower()


def slug(text: str) -> str:
    """Lower-case letters and digits joined by hyphens; accents are dropped."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))
