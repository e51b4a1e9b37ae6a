"""Words, ids and addresses of a tenant, and what stands for them in one cassette.

Everything comes from one key that is made with the recorder and forgotten with it. A pseudonym has the form of what it
stands for: letters for letters, digits for digits, capitals where capitals were, so that what a client makes out of
parts ("RX1" and "SPE_E3") is still made out of the pseudonyms of the parts. Within one form no two words have one
pseudonym.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Iterable

DIGITS, LETTERS = "0123456789", "abcdefghijklmnopqrstuvwxyz"
ROUNDS = 8
"""Of the Feistel network. Four make a pseudorandom permutation (Luby and Rackoff 1988); more help where words are short
(NIST SP 800-38G takes ten for FF1)."""
SHORT = 6
"""Letters that a word of another alphabet gets at least, for it is not permuted but hashed."""
PHONE = "999"
"""How every telephone number begins: a country code that the ITU has reserved and not given out (E.164 list)."""

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.I)
_PUBLIC_FIRST = [first for first in range(1, 224) if first not in (10, 100, 127, 169, 172, 192, 198, 203)]
"""First octets of addresses without a meaning of their own; the others stay."""


def is_pseudonym(guid: str) -> bool:
    """Has it the version that no service gives out? (RFC 9562: version 8 is for whoever makes their own.)"""
    return _GUID.fullmatch(guid) is not None


class Pseudonyms:
    """One key, and what is exempt from it.

    ``kept`` are words, and ``guids`` ids, in lower case that stay as they are: nobody else is given them.
    """

    def __init__(self, *, kept: Iterable[str] = (), guids: Iterable[str] = (), key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self.kept = set(kept)
        self.guids = set(guids)
        self._words: dict[str, str] = {}

    def word(self, word: str) -> str:
        """For a run of letters and digits. Accents make no difference: clients drop them when they make addresses."""
        plain = unicodedata.normalize("NFKD", word)
        plain = "".join(mark for mark in plain if not unicodedata.combining(mark))
        low = plain.lower()
        if low in self.kept:
            return word
        found = self._words.get(low)
        if found is None:
            found = self._words[low] = self._permuted(low) if low.isascii() else self._hashed(low)
        if len(found) != len(plain):
            return found
        return "".join(new.upper() if old.isupper() else new for new, old in zip(found, plain, strict=True))

    def guid(self, guid: str) -> str:
        """For an id with or without its hyphens, in the case in which it stands."""
        low = guid.lower().replace("-", "")
        dashed = "-".join((low[:8], low[8:12], low[12:16], low[16:20], low[20:]))
        if dashed in self.guids or is_everybodys(dashed):
            return guid
        digits = list(self._digest("guid", low).hex()[:32])
        digits[12], digits[16] = "8", "89ab"[int(digits[16], 16) % 4]
        made = "".join(digits)
        if "-" in guid:
            made = "-".join((made[:8], made[8:12], made[12:16], made[16:20], made[20:]))
        return made.upper() if guid.upper() == guid else made

    def opaque(self, token: str) -> str:
        """For what only its maker can read: page tokens, entity tags."""
        return self._digest("opaque", token).hex()[:32]

    def phone(self, number: str) -> str:
        """Blanks, brackets and length stay; the number begins with 999."""
        digits = [mark for mark in number if mark.isdigit()]
        drawn = PHONE + self._number("phone", "".join(digits), 10 ** max(0, len(digits) - len(PHONE)))
        fresh = iter(drawn[: len(digits)])
        return "".join(next(fresh) if mark.isdigit() else mark for mark in number)

    def network(self, address: str) -> str:
        """For an IPv4 or IPv6 address or network; the bits that tell hosts stay empty. Private ones stay private."""
        import ipaddress

        net = ipaddress.ip_network(address, strict=False)
        size = net.max_prefixlen
        head = 8 if net.version == 4 else 16
        free = max(0, net.prefixlen - head)
        number = int(net.network_address)
        first, middle = number >> (size - head), (number >> (size - head - free)) & ((1 << free) - 1)
        if free:
            middle = self._shuffled(middle, 1 << free, f"net{net.version}/{free}")
        if net.version == 4 and first in _PUBLIC_FIRST and net.prefixlen >= head:
            place = self._shuffled(_PUBLIC_FIRST.index(first), len(_PUBLIC_FIRST), "octet")
            first = _PUBLIC_FIRST[place]
        made = (first << (size - head)) | (middle << (size - head - free))
        kind = ipaddress.IPv4Address if net.version == 4 else ipaddress.IPv6Address
        return f"{kind(made)}/{net.prefixlen}" if "/" in address else str(kind(made))

    def days(self) -> int:
        """By how many days a date of a person's life is moved, all by the same."""
        return 400 + int.from_bytes(self._digest("days", "")[:4], "big") % 3000

    def _permuted(self, word: str) -> str:
        """Never a word that is kept: the permutation is walked until it leaves them (cycle walking)."""
        form = [DIGITS if mark in DIGITS else LETTERS for mark in word]
        size, number = 1, 0
        for mark, alphabet in zip(word, form, strict=True):
            size *= len(alphabet)
            number = number * len(alphabet) + alphabet.index(mark)
        name = "".join("9" if alphabet is DIGITS else "a" for alphabet in form)
        while True:
            number = self._shuffled(number, size, name)
            made, left = [], number
            for alphabet in reversed(form):
                left, place = divmod(left, len(alphabet))
                made.append(alphabet[place])
            found = "".join(reversed(made))
            if found not in self.kept:
                return found

    def _shuffled(self, number: int, size: int, tweak: str) -> int:
        """A permutation of 0 to ``size`` - 1."""
        half = max(2, ((size - 1).bit_length() + 1) // 2)
        mask = (1 << half) - 1
        while True:
            left, right = number >> half, number & mask
            for turn in range(ROUNDS):
                left, right = right, left ^ (self._drawn(f"{tweak}/{turn}/{right}", half) & mask)
            number = left << half | right
            if number < size:
                return number

    def _drawn(self, text: str, bits: int) -> int:
        found = b""
        while len(found) * 8 < bits:
            found += self._digest("round", f"{text}/{len(found)}")
        return int.from_bytes(found, "big")

    def _hashed(self, word: str) -> str:
        number = int.from_bytes(self._digest("word", word), "big")
        made = ""
        for _ in range(max(SHORT, len(word))):
            number, place = divmod(number, len(LETTERS))
            made += LETTERS[place]
        return made

    def _number(self, use: str, text: str, size: int) -> str:
        width = len(str(size)) - 1
        return f"{int.from_bytes(self._digest(use, text), 'big') % size:0{width}d}" if width else ""

    def _digest(self, use: str, text: str) -> bytes:
        return hmac.new(self._key, f"{use}\0{text}".encode(), hashlib.sha256).digest()


def is_everybodys(guid: str) -> bool:
    """Is it one of those that Microsoft gives to what is the same in every tenant: built-in objects, first apps?"""
    return guid.startswith("00000000-0000-0000-0000-") or guid[8:] in (
        "-0000-0000-c000-000000000000",
        "-0000-0ff1-ce00-000000000000",
    )
