"""identity.conditional-access: policies and named locations, report-only first, break-glass accounts left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.document import JsonObject, parse_document
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import Source, open_source
from graphkit.inputs.types import Flag, InputModel, Key, TextList
from graphkit.protocol.schema import clean, validate
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.conditional_access import OFF, ON, REPORT, incomplete, put, references
from recipes.identity.published import PublishedSet, read_published

STATES = {"off": OFF, "report": REPORT, "on": ON}
PROMOTE_AFTER_DAYS = 7


def _cidr(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"is not a range such as 203.0.113.0/24 ({error})") from None


Cidr = Annotated[str, AfterValidator(_cidr)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class Location(InputModel):
    """IP ranges or countries under one name."""

    key: Key
    name: str = ""
    ip_ranges: list[Cidr] = Field(default_factory=list)
    trusted: Flag = False
    countries: list[Country] = Field(default_factory=list)

    @property
    def display_name(self) -> str:
        return self.name or self.key

    @model_validator(mode="after")
    def _one_kind(self) -> Location:
        if bool(self.ip_ranges) == bool(self.countries):
            raise ValueError("give either ip_ranges or countries")
        if self.trusted and self.countries:
            raise ValueError("only IP ranges can be trusted")
        return self

    def body(self) -> dict[str, Any]:
        if self.countries:
            return {
                "@odata.type": "#microsoft.graph.countryNamedLocation",
                "displayName": self.display_name,
                "countriesAndRegions": self.countries,
            }
        return {
            "@odata.type": "#microsoft.graph.ipNamedLocation",
            "displayName": self.display_name,
            "isTrusted": self.trusted,
            "ipRanges": [
                {"@odata.type": f"#microsoft.graph.iPv{ip_network(cidr).version}CidrRange", "cidrAddress": cidr}
                for cidr in self.ip_ranges
            ],
        }


class Whom(InputModel):
    """Users, groups and directory roles by name or id; users also All, None, GuestsOrExternalUsers."""

    users: TextList = ()
    groups: TextList = ()
    roles: TextList = ()


class Apps(InputModel):
    """Applications by name or appId, or All, None, Office365, MicrosoftAdminPortals."""

    include: TextList = ()
    exclude: TextList = ()


class Policy(InputModel):
    """One policy; ``conditions``, ``grant`` and ``session`` as Graph has them, names allowed for ids."""

    key: Key
    name: str = ""
    state: Literal["off", "report", "on"]
    promote_after_days: int | None = Field(default=None, ge=0)
    include: Whom = Whom()
    exclude: Whom = Whom()
    apps: Apps = Apps()
    conditions: dict[str, Any] = Field(default_factory=dict)
    grant: dict[str, Any] | None = None
    session: dict[str, Any] | None = None

    @property
    def display_name(self) -> str:
        return self.name or self.key

    @model_validator(mode="after")
    def _said_once(self) -> Policy:
        for part, short in (("users", self._users()), ("applications", self._applications())):
            given = self.conditions.get(part) or {}
            if twice := sorted(set(short).intersection(given if isinstance(given, dict) else ())):
                raise ValueError(f"{', '.join(twice)} of conditions.{part} is given in its short form too")
        return self

    def _users(self) -> dict[str, Any]:
        sides = {"include": self.include, "exclude": self.exclude}
        named = {
            f"{side}{noun}": list(getattr(whom, noun.lower()))
            for side, whom in sides.items()
            for noun in ("Users", "Groups", "Roles")
        }
        return {name: value for name, value in named.items() if value}

    def _applications(self) -> dict[str, Any]:
        named = {"includeApplications": list(self.apps.include), "excludeApplications": list(self.apps.exclude)}
        return {name: value for name, value in named.items() if value}

    def body(self) -> dict[str, Any]:
        conditions = deepcopy(self.conditions)
        for part, short in (("users", self._users()), ("applications", self._applications())):
            if isinstance(conditions.get(part) or {}, dict):
                conditions[part] = {**(conditions.get(part) or {}), **short}
        grant = deepcopy(self.grant)
        if grant and isinstance(grant.get("authenticationStrength"), str):
            grant["authenticationStrength"] = {"id": grant["authenticationStrength"]}
        return {
            "displayName": self.display_name,
            "state": STATES[self.state],
            "conditions": conditions,
            "grantControls": grant,
            "sessionControls": deepcopy(self.session),
        }


class Policies(InputModel):
    """The whole file."""

    promote_after_days: int = Field(default=PROMOTE_AFTER_DAYS, ge=0)
    allow_beta: Flag = False
    named_locations: list[Location] = Field(default_factory=list)
    policies: list[Policy] = Field(default_factory=list)

    @model_validator(mode="after")
    def _keys_once(self) -> Policies:
        entries: tuple[Sequence[Location | Policy], ...] = (self.named_locations, self.policies)
        for keys in ([entry.key for entry in part] for part in entries):
            if twice := sorted({key for key in keys if keys.count(key) > 1}):
                raise ValueError(f"the key {', '.join(twice)} is given twice")
        if not (self.named_locations or self.policies):
            raise ValueError("neither policies nor named_locations are given")
        return self


class Binder:
    """Puts the names that count here in the place of keys, and of names and ids of another tenant."""

    def __init__(self, bind: Mapping[str, str], names: Mapping[str, Mapping[str, str]]) -> None:
        """``names``: what is referred to (group, location, strength) to key or id to name."""
        self._bind = bind
        self._names = names

    def binds(self, *names: str) -> bool:
        return any(name in self._bind for name in names)

    def bind(self, policy: dict[str, Any]) -> None:
        for place, noun, names in references(policy):
            put(policy, place, noun, {name: self._here(noun, name) for name in names})

    def _here(self, noun: str, name: str) -> str:
        names = self._names.get(noun, {})
        known = names.get(name, names.get(name.lower(), name))
        return self._bind.get(name) or self._bind.get(known, known)


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """Locations, then policies, file by file."""
    bind = _read_bind(options.bind, inputs.problems)
    promotable: set[str] = set()
    for source in inputs.sources:
        if _is_ours(source):
            wishes = _ours(Inputs([source], inputs.problems), options, bind)
        else:
            wishes = _published(read_published(source, inputs.problems), options, bind, inputs.problems)
        for wish in wishes:
            promotable.update(wish.rails.get("known_as", ()))
            yield wish
    for key in sorted(set(options.promote) - promotable):
        message = f"--promote {key}: the input has no policy of that key whose state is on"
        inputs.problems.add(inputs.sources[0].name if inputs.sources else "", "", "unknown-key", message)


def _is_ours(source: Source) -> bool:
    if source.format != "json":
        return source.format != "folder"
    value = parse_document(source, Problems())
    return isinstance(value, dict) and bool({"policies", "named_locations"}.intersection(value))


def _read_bind(path: str, problems: Problems) -> dict[str, str]:
    """``--bind``: ids or names in the input to names or ids here."""
    source = open_source(path, problems) if path else None
    value = parse_document(source, problems) if source else None
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in (*value, *value.values())):
        problems.add(path, "", "bad-binding", "a name or id on each side is expected: CA-Staff: All staff")
        return {}
    return value


def _ours(inputs: Inputs, options: PlanOptions, bind: Mapping[str, str]) -> Iterator[Desired]:
    for source, document in inputs.documents(Policies):
        check = Checker(inputs.problems, beta=options.allow_beta or document.allow_beta)
        names = {location.key: location.display_name for location in document.named_locations}
        for index, location in enumerate(document.named_locations):
            origin = Origin(source.name, f"named_locations[{index}]")
            yield from check.location(location.body(), origin)
        for index, policy in enumerate(document.policies):
            origin = Origin(source.name, f"policies[{index}]")
            days = document.promote_after_days if policy.promote_after_days is None else policy.promote_after_days
            for wish in check.policy(policy.body(), origin, Binder(bind, {"location": names})):
                yield _on_a_ladder(wish, {policy.key, policy.display_name}, days, options)


def _published(
    found: PublishedSet, options: PlanOptions, bind: Mapping[str, str], problems: Problems
) -> Iterator[Desired]:
    binder = Binder(bind, dict.fromkeys(("group", "location", "strength"), found.names))
    needed = {name for each in found.policies for _, noun, names in references(each.value) for name in names}
    near = [each for each in found.beside if each.value.get("id") in needed]
    for each in (*found.locations, *near):
        if not binder.binds(str(each.value.get("id")), str(each.value.get("displayName"))):
            yield from _checker(each, options, problems).location(each.value, Origin(each.file, each.path))
    for each in found.policies:
        for wish in _checker(each, options, problems).policy(each.value, Origin(each.file, each.path), binder):
            yield _on_a_ladder(wish, {wish.key}, PROMOTE_AFTER_DAYS, options)


def _checker(each: JsonObject, options: PlanOptions, problems: Problems) -> Checker:
    """An export that was read through beta says so, and may be written through it."""
    return Checker(problems, beta=options.allow_beta or "/beta/" in str(each.value.get("@odata.context")))


class Checker:
    """Turns bodies into wishes, and says what Graph would not take."""

    def __init__(self, problems: Problems, *, beta: bool) -> None:
        self._problems = problems
        self._beta = beta

    def location(self, body: Mapping[str, Any], origin: Origin) -> Iterator[Desired]:
        if checked := self._checked(body, "namedLocation", origin):
            yield Desired(kind="namedLocation", key=checked["displayName"], origin=origin, properties=checked)

    def policy(self, body: Mapping[str, Any], origin: Origin, binder: Binder) -> Iterator[Desired]:
        checked = self._checked(body, "conditionalAccessPolicy", origin, incomplete)
        if checked:
            binder.bind(checked)
            rails = {"note": "through Graph beta"} if "api" in checked else {}
            key = checked["displayName"]
            yield Desired(kind="conditionalAccessPolicy", key=key, origin=origin, properties=checked, rails=rails)

    def _checked(
        self,
        body: Mapping[str, Any],
        kind: str,
        origin: Origin,
        further: Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]] = lambda _: iter(()),
    ) -> dict[str, Any] | None:
        """The body as it is written, with ``api: beta`` if it must go there; None if it is not sound."""
        cleaned = clean(body, kind)
        found = validate(cleaned, kind)
        beta = self._beta and any(problem.code == "beta-only" for problem in found)
        if beta:
            cleaned = clean(body, kind, "beta")
            found = validate(cleaned, kind, "beta")
        told = [(problem.path, problem.code, _advised(problem.code, problem.message)) for problem in found]
        told += [] if found else [(path, "incomplete", message) for path, message in further(cleaned)]
        for path, code, message in told:
            self._problems.add(origin.file, _place(origin, path), code, message)
        return None if told else {**cleaned, **({"api": "beta"} if beta else {})}


def _on_a_ladder(wish: Desired, known_as: set[str], days: int, options: PlanOptions) -> Desired:
    """A policy that is wished on may be promoted by any of its names, once its days are over."""
    if wish.properties["state"] == ON:
        wish.rails["known_as"] = sorted(known_as)
        wish.rails["promote_after_days"] = days
        wish.rails["promote"] = not known_as.isdisjoint(options.promote)
    return wish


def _advised(code: str, message: str) -> str:
    return f"{message}: --allow-beta, or allow_beta: true in our YAML, permits it" if code == "beta-only" else message


_OUR_NAMES = {"grantControls": "grant", "sessionControls": "session", "displayName": "name"}


def _place(origin: Origin, path: str) -> str:
    """Where in the file, by the names that the file uses."""
    if not str(origin.place).startswith(("policies[", "named_locations[")):
        return f"{origin.place}.{path}" if origin.place else path
    head, dot, rest = path.partition(".")
    return f"{origin.place}.{_OUR_NAMES.get(head, head)}{dot}{rest}"


RECIPE = Recipe(
    name="identity.conditional-access",
    summary="Conditional access policies and named locations, report-only first, break-glass accounts left out",
    permissions=(
        "Policy.Read.All",
        "Policy.ReadWrite.ConditionalAccess",
        "Application.Read.All",
        "Group.Read.All",
        "RoleManagement.Read.Directory",
    ),
    desired=desired,
    template="conditional_access.yaml",
    columns={
        "promote_after_days": "days that a policy only reports before --promote may turn it on; default 7",
        "allow_beta": "true lets this file use what only Graph's beta has; default false",
        "named_locations[]": "key, name (default: key), and either ip_ranges (with trusted) or countries",
        "policies[].key": "names the policy for --promote",
        "policies[].name": "displayName, by which the policy is known; default: key",
        "policies[].state": "off, report or on",
        "policies[].promote_after_days": "for this policy alone",
        "policies[].include": "users, groups and roles by name or id; users also All, GuestsOrExternalUsers",
        "policies[].exclude": "the same; the break-glass accounts must be among them",
        "policies[].apps": "include and exclude: applications by name or appId, or All, Office365 ...",
        "policies[].conditions": "the other conditions by Graph's property names; locations by key, name or id",
        "policies[].grant": "grantControls by Graph's property names",
        "policies[].session": "sessionControls by Graph's property names",
        "(JSON)": "in place of the YAML: policies and named locations as Graph has them, a file or a folder",
    },
    essential=True,
)
