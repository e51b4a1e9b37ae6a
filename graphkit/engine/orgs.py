"""The organisations of a tenant, and to which of them a person belongs.

The file is read by ``graphkit.inputs.orgs``; what every recipe, report and rail asks is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Org:
    """One organisation.

    ``domains`` are the ones of its people's userPrincipalNames, in lower case. ``marks`` are (property of a user, its
    value): ``("companyName", "RX1")``, ``("onPremisesExtensionAttributes.extensionAttribute1", "RX1")``. ``caps`` gives
    the most that it may hold of a SKU, by part number in lower case. A closed one gets nothing new.
    """

    code: str
    name: str = ""
    domains: tuple[str, ...] = ()
    marks: tuple[tuple[str, str], ...] = ()
    caps: Mapping[str, int] = field(default_factory=dict)
    open: bool = True


class Orgs:
    """All of them, by code. Empty where no registry is set: then nobody's organisation is known."""

    def __init__(self, orgs: Iterable[Org] = ()) -> None:
        self._by_code = {org.code: org for org in orgs}
        self._by_domain = {domain: org.code for org in self for domain in org.domains}
        self._by_mark = {(name, value.lower()): org.code for org in self for name, value in org.marks}
        self._marked = sorted({name for name, _ in self._by_mark})

    def __iter__(self) -> Iterator[Org]:
        return iter(self._by_code.values())

    def __len__(self) -> int:
        return len(self._by_code)

    def get(self, code: str) -> Org | None:
        return self._by_code.get(code)

    def cap(self, code: str, sku: str) -> int | None:
        """The most that an organisation may hold of a SKU (part number); ``None`` where nobody says."""
        org = self._by_code.get(code)
        return org.caps.get(sku.lower()) if org else None

    @property
    def select(self) -> tuple[str, ...]:
        """The properties of a user that :meth:`of` looks at, for ``$select``."""
        return tuple(dict.fromkeys(("userPrincipalName", *(name.partition(".")[0] for name in self._marked))))

    def of(self, user: Mapping[str, Any]) -> str:
        """The code of a user's organisation; empty where it cannot be told.

        A property goes before the domain, which several organisations may share. If two properties name two
        organisations, nobody can tell.
        """
        marked = {code for name in self._marked if (code := self._by_mark.get((name, _value(user, name)))) is not None}
        if marked:
            return marked.pop() if len(marked) == 1 else ""
        # A guest's name ends with a domain of ours, but #EXT# says whose it is.
        upn = str(user.get("userPrincipalName") or "").lower()
        return "" if "#ext#" in upn else self._by_domain.get(upn.rpartition("@")[2], "")

    def of_name(self, upn: str) -> str:
        """The same, where only the name is known: by its domain."""
        return self.of({"userPrincipalName": upn})


def _value(user: Mapping[str, Any], name: str) -> str:
    value: Any = user
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return str(value or "").strip().lower()
