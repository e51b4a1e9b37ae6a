"""Many objects that are alike: worked out when asked for, since a million dictionaries would weigh a gigabyte.

A population is a numbered row of objects. Its ids are a permutation of the numbers that can be undone, so that nothing
has to be kept to find an object by its id; its names tell the number too.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import SEEDED_AT, dashed

if TYPE_CHECKING:
    from graphkit.sandbox.seeding.seed import Seed

DEPARTMENTS = ("Nursing", "Medical", "Pharmacy", "Estates", "Finance", "Digital", "Therapies")
_WORD = 1 << 64
_STEP = 0x9E3779B97F4A7C15
_BACK = pow(_STEP, -1, _WORD)
_CHECK = 0xC2B2AE3D27D4EB4F


class Population(Protocol):
    """What a table needs of objects that it does not hold. Positions count from 0."""

    def __len__(self) -> int: ...

    def at(self, position: int) -> Json:
        """The object, made anew at each call."""
        ...

    def key(self, position: int) -> str: ...

    def position(self, key: str) -> int | None:
        """Where the object of this id stands; ``None`` if there is none."""
        ...

    def find(self, name: str, value: str) -> int | None:
        """Where the object stands whose indexed property ``name`` has this lower-case value."""
        ...

    def starting(self, name: str, value: str, *, whole: bool) -> list[range] | None:
        """Where those stand whose property begins with a lower-case value, or with ``whole`` is it; ``None`` if that
        cannot be told from the value.
        """
        return None


class Ids:
    """GUIDs for positions, and back: the first half is the position under a key, the second half proves it."""

    def __init__(self, *parts: str) -> None:
        digest = hashlib.sha256("/".join(parts).encode()).digest()
        self._offset = int.from_bytes(digest[:8], "big")
        self._mask = int.from_bytes(digest[8:16], "big")

    def key(self, position: int) -> str:
        first = (position * _STEP + self._offset) % _WORD
        return dashed(f"{first:016x}{(first * _CHECK ^ self._mask) % _WORD:016x}")

    def position(self, key: str) -> int | None:
        digits = key.replace("-", "")
        try:
            first, second = int(digits[:16], 16), int(digits[16:], 16)
        except ValueError:
            return None
        if (first * _CHECK ^ self._mask) % _WORD != second:
            return None
        return (first - self._offset) * _BACK % _WORD


class Shares:
    """``total`` shared out evenly over ``codes``, the first ones getting what is left over."""

    def __init__(self, codes: tuple[str, ...], total: int) -> None:
        self.codes = codes
        self.total = total
        self._each, self._more = divmod(total, max(1, len(codes)))
        self._places = {code.lower(): place for place, code in enumerate(codes)}
        self.digits = max(4, len(str(self._each + 1)))

    def of(self, place: int) -> int:
        return self._each + (place < self._more)

    def size(self, code: str) -> int:
        return self.of(self._places[code.lower()])

    def span(self, place: int) -> range:
        """The positions of a code's numbers."""
        first = place * self._each + min(place, self._more)
        return range(first, first + self.of(place))

    def split(self, position: int) -> tuple[str, int]:
        """The code and the number, from 1, of a position."""
        longer = self._more * (self._each + 1)
        if position < longer:
            place, number = divmod(position, self._each + 1)
        else:
            place, number = divmod(position - longer, self._each)
            place += self._more
        return self.codes[place], number + 1

    def join(self, code: str, number: int) -> int | None:
        """The position of a number of a code; ``None`` if there is none."""
        place = self._places.get(code.lower())
        if place is None or not 1 <= number <= self.of(place):
            return None
        return self.span(place)[number - 1]


class _Form(NamedTuple):
    """A property that tells code and number: ``lead`` with the code in it, as many digits as there are, and an end."""

    lead: str
    digits: int = 0
    end: str = ""

    @property
    def pattern(self) -> re.Pattern[str]:
        code = self.lead.format(r"([a-z0-9]+?)")
        return re.compile(rf"{code}(\d{{{self.digits}}}){re.escape(self.end)}")

    def places(self, text: str, prefix: str, span: range, *, whole: bool) -> range:
        """Which of a code's positions have a value that begins with ``prefix``, or with ``whole`` is it; ``text`` is
        the lead with the code in it."""
        if not whole and text.startswith(prefix):
            return span
        if not prefix.startswith(text):
            return range(0)
        number, rest = prefix[len(text) :][: self.digits], prefix[len(text) + self.digits :]
        if (number and not number.isdecimal()) or not (rest == self.end if whole else self.end.startswith(rest)):
            return range(0)
        step = 10 ** (self.digits - len(number))
        first = int(number or 0) * step
        return span[max(first - 1, 0) : max(first + step - 1, 0)] if self.digits else span


class Staff:
    """The accounts that the organisations share: ``rx1-0001@contoso.example`` ..., employee ``RX100001`` ..."""

    def __init__(self, seed: Seed, held: list[Json]) -> None:
        self.shares = Shares(seed.codes, seed.users if seed.codes else 0)
        self._ids = Ids(seed.tenant_id, "user")
        self._domain = seed.domain
        self.held = held
        self._licensed = seed.licensed if held else 0
        self._synced = seed.synced
        digits = self.shares.digits
        self._width = max(5, digits)
        at_home = f"@{seed.domain.lower()}"
        self._forms = {
            "userPrincipalName": _Form("{}-", digits, at_home),
            "mail": _Form("{}-", digits, at_home),
            "mailNickname": _Form("{}-", digits),
            "displayName": _Form("{} staff ", digits),
            "employeeId": _Form("{}", self._width),
            "companyName": _Form("{}"),
            "officeLocation": _Form("{}"),
        }
        # To look for a beginning in every code must not take longer than a page does.
        self._leads = {
            name: [form.lead.format(code.lower()) for code in seed.codes] for name, form in self._forms.items()
        }
        self._names = {name: form.pattern for name, form in self._forms.items() if form.digits}
        self._same = (seed.tenant_id, seed.domain, seed.codes, seed.users, held, self._licensed, seed.synced)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Staff) and self._same == other._same

    def __len__(self) -> int:
        return self.shares.total

    def key(self, position: int) -> str:
        return self._ids.key(position)

    def position(self, key: str) -> int | None:
        found = self._ids.position(key)
        return found if found is not None and found < self.shares.total else None

    def at(self, position: int) -> Json:
        code, number = self.shares.split(position)
        padded = f"{number:0{self.shares.digits}}"
        nickname = f"{code.lower()}-{padded}"
        upn = f"{nickname}@{self._domain}"
        user: Json = {
            "id": self._ids.key(position),
            "userPrincipalName": upn,
            "displayName": f"{code} Staff {padded}",
            "mail": upn,
            "mailNickname": nickname,
            "accountEnabled": True,
            "userType": "Member",
            "usageLocation": "GB",
            "createdDateTime": SEEDED_AT,
            "employeeId": f"{code}{number:0{self._width}}",
            "department": DEPARTMENTS[number % len(DEPARTMENTS)],
            "officeLocation": code,
            "companyName": code,
        }
        if number <= self._licensed:
            user["licenseAssignmentStates"] = self.held
        if self._synced and number > self.shares.size(code) - self._synced:
            user.update(self._on_premises(user))
        return user

    def _on_premises(self, user: Json) -> Json:
        """Of an account that another directory masters (resources/user.md)."""
        unit = f"OU={user['companyName']},DC={',DC='.join(self._domain.split('.'))}"
        return {
            "onPremisesSyncEnabled": True,
            "onPremisesDistinguishedName": f"CN={user['displayName']},{unit}",
            "onPremisesDomainName": self._domain,
            "onPremisesImmutableId": base64.b64encode(bytes.fromhex(user["id"].replace("-", ""))).decode(),
            "onPremisesLastSyncDateTime": SEEDED_AT,
            "onPremisesSamAccountName": user["mailNickname"],
            "onPremisesUserPrincipalName": user["userPrincipalName"],
        }

    def find(self, name: str, value: str) -> int | None:
        found = self._names[name].fullmatch(value) if name in self._names else None
        return self.shares.join(found[1], int(found[2])) if found else None

    def starting(self, name: str, value: str, *, whole: bool) -> list[range] | None:
        form = self._forms.get(name)
        if form is None:
            return None
        leads = enumerate(self._leads[name])
        fitting = [(text, place) for place, text in leads if text.startswith(value) or value.startswith(text)]
        found = (form.places(text, value, self.shares.span(place), whole=whole) for text, place in fitting)
        return [places for places in found if places]

    @property
    def licensed(self) -> int:
        """How many of them hold the first SKU."""
        return sum(min(self._licensed, self.shares.of(place)) for place in range(len(self.shares.codes)))
