"""The naming policy of Microsoft 365 groups, held against names.

https://learn.microsoft.com/entra/identity/users/groups-naming-policy: prefix and suffix around ``[GroupName]``, fixed
or from an attribute of whoever creates the group; and blocked words, whole words whatever their case. It binds display
name and alias of new and edited groups.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from graphkit.engine.resource import Context
from graphkit.protocol.odata import query

NAMING, BLOCKED_WORDS = "PrefixSuffixNamingRequirement", "CustomBlockedWordsList"
GROUP_NAME = "[groupname]"
ATTRIBUTES = ("department", "company", "office", "stateorprovince", "countryorregion", "title")
SHOWN = 3
_PART = re.compile(r"\[([^\]]*)\]|([^\[\]]+)")
_NOT_IN_ALIAS = re.compile(r"""[\s@()\\\[\]";:<>,]""")


@dataclass(frozen=True, slots=True)
class NamingPolicy:
    """``requirement`` such as ``GRP-[GroupName]-[Department]``, or empty."""

    requirement: str
    words: tuple[str, ...] = ()

    def allows(self, name: str, alias: str) -> bool:
        return self._allows(name, alias=False) and self._allows(alias, alias=True)

    def _allows(self, text: str, *, alias: bool) -> bool:
        found = re.fullmatch(self._pattern(alias=alias), text, re.DOTALL) if self.requirement else None
        if self.requirement and not found:
            return False
        own = found["name"] if found else text
        return not any(re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", own, re.IGNORECASE) for word in self.words)

    def _pattern(self, *, alias: bool) -> str:
        """An attribute may stand for anything: it is that of whoever made the group."""
        parts = []
        for bracketed, plain in _PART.findall(self.requirement):
            if f"[{bracketed}]".lower() == GROUP_NAME:
                parts.append("(?P<name>.+)")
            elif bracketed.lower() in ATTRIBUTES:
                parts.append(".*")
            else:
                text = bracketed or plain
                parts.append(re.escape(_NOT_IN_ALIAS.sub("", text) if alias else text))
        return "".join(parts)


@dataclass(slots=True)
class Breaches:
    """How many groups there are, how many of them bear a name that is not allowed, and some of these names."""

    groups: int = 0
    breaches: int = 0
    names: list[str] = field(default_factory=list)


async def groups_in_breach(context: Context, policy: NamingPolicy) -> Breaches:
    """Every Microsoft 365 group against ``policy``. Raises ``ServiceError``."""
    found = Breaches()
    unified = {"$filter": "groupTypes/any(c:c eq 'Unified')", "$select": "id,displayName,mailNickname"}
    async for group in context.client.list(f"/groups{query(unified)}"):
        found.groups += 1
        if not policy.allows(str(group.get("displayName") or ""), str(group.get("mailNickname") or "")):
            found.breaches += 1
            found.names = sorted([*found.names, str(group.get("displayName"))])[:SHOWN]
    return found


def words_of(text: str) -> tuple[str, ...]:
    """A comma-separated list, as the setting holds it."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
