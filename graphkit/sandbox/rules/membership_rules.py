"""Membership rules of dynamic groups: a small language compiled to a function of a user or device.

MicrosoftDocs/entra-docs docs/identity/users/groups-dynamic-membership.md. A rule knows users by the names of the old
directory, not by Graph's: ``physicalDeliveryOfficeName`` is officeLocation, and officeLocation is refused. Strings and
regular expressions compare without regard to case; so do property names here, though the page says otherwise, since
its own examples write ``mailNickname`` and ``mailNickName``. What is wrong is 400 ``DynamicGroupQueryParseError``
"Unsupported property 'x'"; the other messages are ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from graphkit.sandbox.call import Refusal

Test = Callable[[Any], bool]
Read = Callable[[Any], Any]

MAX_LENGTH = 3072

_SAME = """city country companyName department displayName employeeId givenName jobTitle mail mailNickname
    onPremisesDistinguishedName onPremisesSecurityIdentifier passwordPolicies postalCode preferredLanguage state
    streetAddress surname usageLocation userPrincipalName userType"""
_RENAMED = {
    "facsimileTelephoneNumber": "faxNumber",
    "mobile": "mobilePhone",
    "objectId": "id",
    "physicalDeliveryOfficeName": "officeLocation",
}
_TEXTS = {name.lower(): name for name in _SAME.split()} | {name.lower(): graph for name, graph in _RENAMED.items()}
_FLAGS = {"accountenabled": "accountEnabled", "dirsyncenabled": "onPremisesSyncEnabled"}
_LISTS = {"othermails": "otherMails", "proxyaddresses": "proxyAddresses", "assignedplans": "assignedPlans"}
_FIRST_OF = {"telephonenumber": "businessPhones", "sipproxyaddress": "imAddresses"}
_PLAN = {"capabilitystatus": "capabilityStatus", "service": "service", "serviceplanid": "servicePlanId"}
_EXTENSION = re.compile(r"extensionattribute(?:[1-9]|1[0-5])|extension_[0-9a-f]{32}_\w+")
_OF_DEVICE = {
    "devicemanufacturer": "manufacturer",
    "devicemodel": "model",
    "deviceostype": "operatingSystem",
    "deviceosversion": "operatingSystemVersion",
    "devicetrusttype": "trustType",
    "objectid": "id",
    **{name.lower(): name for name in ("deviceId", "displayName", "deviceOwnership", "managementType", "profileType")},
}
"""Of those that the page lists for devices, the ones that the simulated tenant's devices have."""
_NOT_MODELLED = re.compile(
    r"\s*direct\s+reports\s+for\b|\bdevice\.memberof\b|\buser\.(?:memberof|employeehiredate)\b", re.I
)

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:`.|[^"`])*"|'(?:''|[^'])*')
    | (?P<word>[-–]?[A-Za-z_$][\w$]*(?:\.[\w$]+)*)
    | (?P<number>\d+)
    | (?P<mark>[()\[\],])
    )""",
    re.VERBOSE,
)


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _match(value: Any, pattern: Any) -> bool:
    return isinstance(value, str) and pattern.search(value) is not None


# Each with its opposite: what is not there equals nothing, starts with nothing and is in no list.
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "startswith": lambda a, b: isinstance(a, str) and a.startswith(b),
    "endswith": lambda a, b: isinstance(a, str) and a.endswith(b),
    "contains": lambda a, b: isinstance(a, str) and b in a,
    "match": _match,
    "in": lambda a, b: a in b,
}
_OPPOSITES = {"ne": "eq", **{f"not{name}": name for name in _OPERATORS if name != "eq"}}
_QUANTIFIERS: dict[str, Callable[[Any], bool]] = {"any": any, "all": all}


class Rule(NamedTuple):
    """``test`` takes a user, or a device if it is ``about`` devices, as Graph shows one. With ``needs_plans`` it looks
    at ``assignedPlans``, too.
    """

    test: Test
    needs_plans: bool
    about: str = "user"


@lru_cache(maxsize=256)
def parse_rule(text: str) -> Rule:
    """Raises :class:`Refusal`: 400 for what is not a rule, 501 for one that the simulated tenant cannot follow."""
    if len(text) > MAX_LENGTH:
        raise _wrong(f"The rule is longer than {MAX_LENGTH} characters")
    if _NOT_MODELLED.search(text):
        raise Refusal(501, "NotModelled", "The simulated tenant does not model membership rules on direct reports, "
                                          "memberOf and employeeHireDate.")  # fmt: skip
    return _Parser(text).parse()


def _wrong(why: str) -> Refusal:
    return Refusal(400, "DynamicGroupQueryParseError", why)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._split(text)
        self.at = 0
        self.inside = ""  # the collection whose items are looked at
        self.needs_plans = False
        self.about = ""

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise _wrong(f"Syntax error at position {at} of the rule")
            tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()
        return tokens

    def parse(self) -> Rule:
        test = self._either()
        if self.at < len(self.tokens):
            raise _wrong(f"Unexpected '{self.tokens[self.at][1]}' in the rule")
        return Rule(test, self.needs_plans, self.about or "user")

    def _operator(self) -> str:
        """The next token as an operator: without its hyphen, which is optional, in lower case."""
        if self.at >= len(self.tokens) or self.tokens[self.at][0] == "text":
            return ""
        return self.tokens[self.at][1].lstrip("-–").lower()

    def _take(self, expected: str = "") -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise _wrong("The rule ends where something is missing")
        token = self.tokens[self.at]
        if expected and token[1] != expected:
            raise _wrong(f"'{expected}' expected near '{token[1]}'")
        self.at += 1
        return token

    def _either(self) -> Test:
        tests = [self._both()]
        while self._operator() == "or":
            self._take()
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda user: any(test(user) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._operator() == "and":
            self._take()
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda user: all(test(user) for test in tests)

    def _one(self) -> Test:
        if self._operator() == "not":
            self._take()
            inner = self._one()
            return lambda user: not inner(user)
        if self._operator() == "(":
            self._take()
            inner = self._either()
            self._take(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        read, kind = self._property()
        operator = self._operator()
        if operator in _QUANTIFIERS and kind == "list":
            return self._each(read, _QUANTIFIERS[operator])
        name = _OPPOSITES.get(operator, operator)
        if name not in _OPERATORS:
            raise _wrong(f"Unknown operator '{self._take()[1]}'")
        shown = self._take()[1].lstrip("-–")
        value = self._value(name)
        if not _fits(kind, name, value):
            raise _wrong(f"Invalid operands found for operator -{shown}")
        test = _compare(read, kind, _OPERATORS[name], value)
        return test if name == operator else lambda user: not test(user)

    def _each(self, read: Read, combine: Callable[[Any], bool]) -> Test:
        """``user.assignedPlans -any (assignedPlan.service -eq "SCO")``; one comparison needs no parentheses."""
        outer, self.inside = self.inside, self.tokens[self.at - 1][1].rpartition(".")[2].lower()
        self._take()
        inner = self._one()
        self.inside = outer
        return lambda user: combine(inner(item) for item in read(user) or ())

    def _property(self) -> tuple[Read, str]:
        kind, name = self._take()
        if kind != "word" or name[0] in "-–":
            raise _wrong(f"A property expected near '{name}'")
        owner, _, last = name.partition(".")
        if self.inside == "assignedplans" and owner.lower() == "assignedplan" and last.lower() in _PLAN:
            return _reader(_PLAN[last.lower()]), "text"
        if self.inside and name == "_":
            return _folded, "text"
        if owner.lower() not in ("user", "device") or self.inside:
            # microsoftgraph/msgraph-sdk-dotnet#2601: "(accountEnabled -eq true)"
            raise Refusal(400, "InvalidObjectTypeException", "No object type")
        if self.about not in ("", owner.lower()):
            raise _wrong("A rule is about users or about devices, not both")  # the words are ours
        self.about = owner.lower()
        return self._of_user(last) if self.about == "user" else self._of_device(last)

    @staticmethod
    def _of_device(name: str) -> tuple[Read, str]:
        lower = name.lower()
        if lower in _OF_DEVICE:
            return _reader(_OF_DEVICE[lower]), "text"
        if lower == "accountenabled":
            return _reader("accountEnabled"), "flag"
        if lower == "devicephysicalids":
            return _reader("physicalIds"), "list"
        raise _wrong(f"Unsupported property '{name}'")

    def _of_user(self, name: str) -> tuple[Read, str]:
        lower = name.lower()
        self.needs_plans |= lower == "assignedplans"
        for names, kind in ((_TEXTS, "text"), (_FLAGS, "flag"), (_LISTS, "list")):
            if lower in names:
                return _reader(names[lower]), kind
        if lower in _FIRST_OF:
            collection = _FIRST_OF[lower]
            return lambda user: _folded(next(iter(user.get(collection) or ()), None)), "text"
        if _EXTENSION.fullmatch(lower):
            return _extension(name), "text"
        raise _wrong(f"Unsupported property '{name}'")

    def _value(self, operator: str) -> Any:
        if self._operator() == "[":
            return self._list()
        kind, word = self._take()
        text = word.lower()
        if kind == "text":
            return self._text(word, operator)
        if kind == "number":
            return word
        if text in ("null", "$null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        raise _wrong(f"A value expected near '{word}'")

    def _list(self) -> tuple[Any, ...]:
        self._take("[")
        values = [self._value("in")]
        while self._operator() == ",":
            self._take()
            values.append(self._value("in"))
        self._take("]")
        return tuple(values)

    @staticmethod
    def _text(quoted: str, operator: str) -> Any:
        text = re.sub(r"`(.)", r"\1", quoted[1:-1]) if quoted[0] == '"' else quoted[1:-1].replace("''", "'")
        if operator != "match":
            return text.lower()
        try:
            return re.compile(text, re.IGNORECASE)
        except re.error as error:
            raise _wrong(f"Invalid regular expression '{text}'") from error


def _reader(name: str) -> Read:
    return lambda item: _folded(item.get(name))


def _extension(name: str) -> Read:
    if "_" in name:
        return _reader(name)
    number = name.lower().removeprefix("extensionattribute")
    attribute = f"extensionAttribute{number}"
    return lambda user: _folded((user.get("onPremisesExtensionAttributes") or {}).get(attribute))


def _fits(kind: str, operator: str, value: Any) -> bool:
    """Which operators go with which properties and values (the tables of the page)."""
    if operator == "in":
        return isinstance(value, tuple)
    is_text = isinstance(value, (str, re.Pattern))
    if operator != "eq":
        return is_text and kind != "flag"
    return value is None or (value in (True, False, "true", "false") if kind == "flag" else is_text)


def _compare(read: Read, kind: str, operator: Callable[[Any, Any], bool], value: Any) -> Test:
    if kind == "flag":
        wanted = value == "true" if isinstance(value, str) else value
        return lambda user: operator(read(user), wanted)
    if kind == "list":
        if value is None:
            return lambda user: not read(user)
        return lambda user: any(operator(_folded(item), value) for item in read(user) or ())
    return lambda user: operator(read(user), value)
