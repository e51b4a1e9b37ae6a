"""From what was said to what may be written: every value by the field it stands in, every text word by word.

An allow-list: what :mod:`.known` does not name is replaced. First everything is learnt (:meth:`Redaction.learn`: which
domains there are, which names of products), then everything is written, so that one thing is called the same
throughout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

from graphkit.errors import UsageError
from graphkit.recording import known
from graphkit.recording.pseudonyms import Pseudonyms
from graphkit.redact import SECRET_NAMES, redact

REMOVED = "<removed>"
KINDS = ("keep", "remove", "text", "phone", "date")
"""What a rule can say of a field."""
TOO_LONG = 200
"""A run of letters and digits above it is no word: key material, a picture, a token."""

GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
MAIL = re.compile(r"(?P<local>[\w.+'#&!*$/=?^`{|}~-]+)@(?P<domain>[\w-]+(?:\.[\w-]+)+)")
PHONE = re.compile(r"(?<![\w+])\+\d[\d ().-]{6,18}\d|\(\d{3}\)[ ]?\d{3}-\d{4}")
_NETWORK = r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})/\d{1,3}(?![\w/])"
_TOKEN = re.compile(
    rf"""(?P<removed><(?:\d+\ characters\ |private\ key\ )?removed>)
    | (?P<url>https?://[^\s"'<>]+(?:<[\w\ ]+removed>[^\s"'<>]*)*)
    | (?P<protocol>\b(?:SMTP|SIP|X500|EUM|smtp|sip|x500|eum):(?=\S))
    | (?P<mail>{MAIL.pattern})
    | (?P<guid>(?<![0-9a-zA-Z]){GUID}(?![0-9a-zA-Z]) | (?<![0-9a-zA-Z])[0-9a-fA-F]{{32}}(?![0-9a-zA-Z]))
    | (?P<marker>\[gk:[a-z.-]+/)
    | (?P<network>(?<![\w.:]){_NETWORK})
    | (?P<phone>{PHONE.pattern})
    | (?P<name>(?<![\w.-])(?:[\w-]+\.)+[A-Za-z]{{2,}}(?![\w.-]))
    | (?P<joined>[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+)
    | (?P<word>[^\W_]+)""",
    re.VERBOSE,
)
_PART = re.compile(r"[^\W_]+(?:_+[^\W_]+)*")
_IDENTIFIER = re.compile(r"[A-Za-z]\w*(?:,\s?[A-Za-z]\w*)*")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?|-?P[\dTYMWDHS.]+|\d\d:\d\d(?::[\d.]+)?")
_DOMAIN = re.compile(r"(?=.{4,})(?:[\w-]+\.)+[A-Za-z]{2,}")
_DOMAIN_FIELDS = ("name", "id", "domain", "defaultdomain", "tenantdomain")
_FILE = re.compile(r"(?P<stem>[^\\/:]+)\.(?P<suffix>csv|tsv|txt|json|jsonl|ndjson|yaml|yml)", re.I)
_LIKE_BASE64 = re.compile(r"(?=.*[A-Z])(?=.*[a-z])(?=.*\d)[A-Za-z0-9+/_-]{120,}={0,2}")
_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9]*")


def read_rules(given: Iterable[str]) -> list[tuple[str, str]]:
    """``extension_*_costCentre=keep`` ... as (pattern, kind). Raises ``UsageError``."""
    rules = []
    for text in given:
        pattern, _, kind = text.partition("=")
        if not pattern or kind not in KINDS:
            raise UsageError(f"the rule {text!r} is not of the form FIELD=KIND", hint=f"kinds are {', '.join(KINDS)}")
        rules.append((pattern.lower(), kind))
    return rules


class Redaction:
    """What one cassette may hold.

    ``roots`` are the origins that stand for Microsoft Graph; ``rules`` go before everything else but secrets.
    """

    def __init__(
        self, pseudonyms: Pseudonyms, *, rules: Sequence[tuple[str, str]] = (), roots: Iterable[str] = ()
    ) -> None:
        from graphkit.recording.addresses import Addresses

        self.pseudonyms = pseudonyms
        self._rules = rules
        self._domains: set[str] = set()
        self._digests: dict[str, str] = {}
        self.addresses = Addresses(self, roots)

    # -- first: what there is ---------------------------------------------------------------------------------------

    def learn(self, value: Any, field: str = "") -> None:
        """Look through a JSON value for domains and for names that are Microsoft's."""
        if isinstance(value, Mapping):
            for name, inner in value.items():
                self.learn(inner, str(name))
        elif isinstance(value, str):
            self._learn_text(value, known.plain(field))
        elif isinstance(value, Sequence) and not isinstance(value, bytes):
            for inner in value:
                self.learn(inner, field)

    def _learn_text(self, text: str, field: str) -> None:
        if field in ("skupartnumber", "serviceplanname"):
            self.pseudonyms.kept.add(text.lower())
        elif field in ("skuid", "serviceplanid", "roletemplateid"):
            self.pseudonyms.guids.add(text.lower())
        self._domains.update(match["domain"].lower() for match in MAIL.finditer(text))
        if field in _DOMAIN_FIELDS and _DOMAIN.fullmatch(text) and not _FILE.fullmatch(text):
            self._domains.add(text.lower())
        if len(text) <= TOO_LONG:
            # Names that clients derive from a name end with the beginning of its digest.
            self._digests[sha256(text.encode()).hexdigest()[:8]] = text

    # -- then: what may be written ----------------------------------------------------------------------------------

    def document(self, value: Any, field: str = "", *, custom: bool = False) -> Any:
        """A JSON value with everything replaced that is not allowed. Pseudonyms of keys, too, where they are custom."""
        if isinstance(value, Mapping):
            below = custom or known.plain(field) in known.CUSTOM
            return {
                self.property(str(name), custom=below): self._member(str(name), inner, below)
                for name, inner in value.items()
                if name != "@odata.context"  # says again what was asked, names of the tenant included
            }
        if isinstance(value, str):
            return self.value(value, field)
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self.document(item, field, custom=custom) for item in value]
        return value if self._rule(field) != "remove" else REMOVED

    def _member(self, name: str, inner: Any, custom: bool) -> Any:
        if name == "error" and isinstance(inner, Mapping):
            return self._error(inner)
        if name.lower().endswith("@odata.type") or name == "@odata.etag":
            return inner if name != "@odata.etag" else self.pseudonyms.opaque(str(inner))
        return self.document(inner, name, custom=custom)

    def _error(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Its words are the service's; what it quotes is not."""
        told: dict[str, Any] = {}
        for name, inner in error.items():
            if isinstance(inner, Mapping):
                told[name] = self._error(inner)
            elif name == "message" and isinstance(inner, str):
                told[name] = self.message(inner)
            elif name != "client-request-id":
                told[name] = inner if name == "date" else self.document(inner, name)
        return told

    def message(self, text: str) -> str:
        """A sentence of the service: its own words stay, outside quotation marks."""
        parts = re.split(r"('[^']*'|\"[^\"]*\")", redact(text))
        words = known.names("message")
        return "".join(
            self.text(part) if part[:1] in ("'", '"') else self.text(part, also=lambda word: word.lower() in words)
            for part in parts
        )

    def property(self, name: str, *, custom: bool = False) -> str:
        """The name of a property: Graph's own stay, those of extensions are taken apart word by word."""
        head, mark, tail = name.partition("@")
        own = not head or (not custom and _PROPERTY.fullmatch(head)) or head.startswith("#microsoft.graph.")
        if own or self._rule(name) == "keep":
            return name
        kept = self.text(head, also=lambda word: word in ("extension", "ext"))
        return f"{kept}{mark}{tail}"

    def value(self, text: str, field: str = "") -> str:
        """One value, by the field it stands in."""
        plain = known.plain(field)
        rule = self._rule(field)
        if rule == "remove" or is_secret(text, plain):
            return REMOVED
        if rule:
            return self._by_rule(rule, text)
        if text in known.VALUES or not text or self._is_allowed(text, plain):
            return text
        if plain in known.PERSONAL_DATES and _TIME.match(text):
            return self._moved(text)
        if plain in known.PHONES:
            return self.pseudonyms.phone(text)
        if plain in known.ADDRESSES and re.fullmatch(r"[0-9a-fA-F.:]+(/\d+)?", text):
            return self._network(text)
        if file := _FILE.fullmatch(text):
            return self.file_name(file)
        return self.text(text)

    @staticmethod
    def _is_allowed(text: str, plain: str) -> bool:
        if plain in known.enumerated() and len(text) <= 64:
            return _IDENTIFIER.fullmatch(text) is not None
        if plain in known.COUNTRIES:
            return re.fullmatch("[A-Z]{2}", text) is not None
        if plain in known.timed() and plain not in known.PERSONAL_DATES:
            return _TIME.fullmatch(text) is not None
        return known.VERSIONS.fullmatch(plain) is not None and re.fullmatch(r"\d+(\.\d+){0,4}", text) is not None

    def _rule(self, field: str) -> str:
        low = field.lower()
        return next((kind for pattern, kind in self._rules if fnmatchcase(low, pattern)), "")

    def _by_rule(self, rule: str, text: str) -> str:
        if rule == "keep":
            return redact(text)
        if rule == "phone":
            return self.pseudonyms.phone(text)
        return self._moved(text) if rule == "date" and _TIME.match(text) else self.text(text)

    def _moved(self, text: str) -> str:
        try:
            day = date.fromisoformat(text[:10]) - timedelta(days=self.pseudonyms.days())
        except ValueError:
            return self.text(text)
        return f"{day.isoformat()}{text[10:]}"

    def file_name(self, match: re.Match[str]) -> str:
        """A file may be called for what it holds (``users.csv``); any other word of its name is replaced."""
        words = known.names("message") | known.FILE_WORDS
        return f"{self.text(match['stem'], also=lambda word: word.lower() in words)}.{match['suffix']}"

    def text(self, text: str, *, also: Callable[[str], bool] = lambda _: False) -> str:
        """Word by word; ``also`` names words that may stay here."""

        def replace(match: re.Match[str]) -> str:
            kind = match.lastgroup or ""
            found = match[0]
            if kind in ("marker", "protocol"):
                return found
            if kind == "removed":
                return REMOVED
            if kind == "url":
                return self.addresses.url(found)
            if kind == "guid":
                return self.pseudonyms.guid(found)
            if kind == "network":
                return self._network(found)
            if kind == "phone":
                return self.pseudonyms.phone(found)
            if kind == "mail":
                return self._mail(match["local"], match["domain"])
            if kind == "name" and self._is_domain(found):
                return self.domain(found)
            return (
                found
                if found.lower() in self.pseudonyms.kept
                else _PART.sub(lambda part: self._part(part[0], also), found)
            )

        return _TOKEN.sub(replace, redact(text))

    def _part(self, part: str, also: Callable[[str], bool]) -> str:
        if part.lower() in self.pseudonyms.kept:
            return part
        return "_".join(self._word(word, also) if word else "" for word in part.split("_"))

    def _word(self, word: str, also: Callable[[str], bool]) -> str:
        if also(word):
            return word
        if len(word) == 8 and word in self._digests:
            return sha256(self.value(self._digests[word]).encode()).hexdigest()[:8]
        return self.pseudonyms.word(word) if len(word) <= TOO_LONG else REMOVED

    def _mail(self, local: str, domain: str) -> str:
        if _is_public(domain.lower()):
            return f"{self.text(local)}@{domain}"
        # A guest's name holds another address before "#EXT#".
        return f"{self.text(local, also=lambda word: word == 'EXT')}@{self.domain(domain)}"

    def _is_domain(self, text: str) -> bool:
        low = text.lower()
        return low in self._domains or any(low.endswith(f".{each}") for each in self._domains)

    def domain(self, domain: str) -> str:
        """Ends with ``.example``, which belongs to nobody (RFC 2606)."""
        if _is_public(domain.lower()):
            return domain
        labels = domain.split(".")
        tail = [] if labels[-1].lower() == "example" else ["example"]
        made = [re.sub(r"[^\W_]+", lambda part: self.pseudonyms.word(part[0]), label) for label in labels]
        return ".".join([*made, *tail])

    def _network(self, text: str) -> str:
        try:
            return self.pseudonyms.network(text)
        except ValueError:
            return re.sub(r"\w+", lambda part: self.pseudonyms.word(part[0]), text)


def _is_public(domain: str) -> bool:
    return any(domain == each or domain.endswith(f".{each}") for each in known.PUBLIC_DOMAINS)


def hidden(value: Any, field: str = "") -> Any:
    """``value`` without what is never written: a replay compares what is left."""
    if isinstance(value, Mapping):
        return {name: hidden(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, str):
        return REMOVED if is_secret(value, known.plain(field)) else value
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [hidden(item, field) for item in value]
    return value


def is_secret(text: str, plain: str) -> bool:
    """A password, a key or a certificate, by its field or by its looks."""
    if plain in SECRET_NAMES - {"code"} or (plain in known.CERTIFICATES and (plain != "key" or len(text) > 40)):
        return True
    return _LIKE_BASE64.fullmatch(text) is not None
