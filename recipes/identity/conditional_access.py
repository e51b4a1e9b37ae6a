"""identity.conditional-access: policies and named locations, report-only first, break-glass accounts left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.bindings import read_bindings
from graphkit.inputs.document import parse_document
from graphkit.inputs.layouts import Body
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import Source
from graphkit.protocol.schema import clean, validate
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.access_places import incomplete, put, references
from graphkit.resources.conditional_access import ON
from graphkit.resources.new_groups import described
from recipes.identity.policy_file import PROMOTE_AFTER_DAYS, Policies
from recipes.identity.published import PublishedSet, read_published


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
    bind = read_bindings(options.bind, inputs.problems)
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
    """Our own form? YAML without Graph's type is taken for it, so that its faults are told in its words."""
    if source.format not in ("json", "yaml"):
        return source.format != "folder"
    value = parse_document(source, Problems())
    if source.format == "yaml":
        return not (isinstance(value, dict) and "@odata.type" in value)
    return isinstance(value, dict) and bool({"policies", "named_locations"}.intersection(value))


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
                if document.max_impact_pct is not None:
                    wish.rails["impact"] = {"max_pct": document.max_impact_pct}
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
            if options.create_groups:
                names = [name for _, noun, given in references(wish.properties) if noun == "group" for name in given]
                wish.rails["groups"] = described(found.groups, names)
            yield _on_a_ladder(wish, {wish.key}, PROMOTE_AFTER_DAYS, options)


def _checker(each: Body, options: PlanOptions, problems: Problems) -> Checker:
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
    models=(Policies,),
    options=("adopt", "promote", "add_break_glass", "bind", "create_groups", "allow_beta"),
    rails=(
        "the declared break-glass accounts must be excluded in every policy; none declared: blocked",
        "a new policy that is wished on only reports at first; --promote turns it on, after promote_after_days",
        "more people blocked or prompted by a policy than max_impact_pct need --accept-impact",
        "two live policies of one name, or one that no run made without --adopt: that policy is blocked",
    ),
    essential=True,
)
