"""devices.policies: Intune policies of any kind, as Graph has them: a file or a folder, made here or published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.bindings import read_bindings
from graphkit.inputs.problems import Problems
from graphkit.inputs.types import InputModel
from graphkit.protocol.schema import Version, clean, validate, without_nulls
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.assignments import EVERYBODY, EXCLUDED, FILTER_ID, FILTER_TYPE, INCLUDED
from graphkit.resources.compliance import RULES, actions_in
from graphkit.resources.group_policies import plain_value
from graphkit.resources.intune import AUTHORITATIVE, Endpoint
from graphkit.resources.managed_apps import identifiers
from graphkit.resources.markers import marker_key, without_marker
from graphkit.resources.new_groups import described
from graphkit.resources.secrets import plain_secrets
from recipes.devices.placeholders import fill, unfilled
from recipes.devices.published import Found, PublishedSet, read_published, targets

NAME = "devices.policies"
BELOW = ("apps", "assignments", "definitionValues", "groupAssignments")
"""What belongs to a policy and is written by actions of its own."""
_EVERYBODY = {target: name.capitalize() for name, target in EVERYBODY.items()}
_MOST_TOLD = 4
"""Properties that a message about beta names; exports may hold fifty."""


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """Each policy with its actions, apps and assignments, file by file."""
    bind = read_bindings(options.bind, inputs.problems)
    seen: dict[tuple[str, str], Desired] = {}
    for source in inputs.sources:
        found = read_published(source, inputs.problems)
        reader = Reader(inputs.problems, options, bind, found)
        for each in found.policies:
            for wish in reader.wishes(each):
                first = seen.setdefault((wish.kind, wish.key), wish)
                if first is wish or first.properties != wish.properties:
                    yield wish
                elif wish.kind == each.endpoint.kind:
                    inputs.problems.warn(f"{_shown(wish)} says the same as {_shown(first)}, and is read once")


def _shown(wish: Desired) -> str:
    return " ".join(str(part) for part in (wish.origin.file, wish.origin.place) if part)


class Wrapped(InputModel):
    """A policy with its assignments beside it: one of the forms in which the input may come."""

    policy: dict[str, Any] = Field(description="the policy as Graph has it; alone, in a list or in {value: []} as well")
    assignments: list[dict[str, Any]] = Field(
        default_factory=list, description="its assignments as Graph has them; inside the policy as well"
    )


class Reader:
    """Turns published bodies into wishes, and says of each other why it cannot be one."""

    def __init__(self, problems: Problems, options: PlanOptions, bind: Mapping[str, str], found: PublishedSet) -> None:
        self._problems = problems
        self._options = options
        self._bind = bind
        self._names = found.names.by_id
        self._groups = found.groups if options.create_groups else {}

    def wishes(self, found: Found) -> Iterator[Desired]:
        body, endpoint = found.body, found.endpoint
        origin = Origin(body.file, body.path)
        value = fill({name: item for name, item in body.value.items() if name not in BELOW}, self._bind)
        self._bind_names(value)
        values = fill(body.value.get("definitionValues") or [], self._bind)
        if checked := self._checked(value, endpoint, origin, values):
            cleaned, version = checked
            api: dict[str, Any] = {"api": "beta"} if version == "beta" and not endpoint.beta_only else {}
            key = marker_key(cleaned[endpoint.name])
            yield self._policy(key, cleaned, endpoint, origin, api)
            yield from self._below(key, found, cleaned, origin, api)

    def _bind_names(self, value: dict[str, Any]) -> None:
        """What this tenant calls the scope tags, message templates and groups that are named inside the policy."""
        tags = value.get("roleScopeTagIds")
        if isinstance(tags, list):
            value["roleScopeTagIds"] = [self._here(tag) if isinstance(tag, str) else tag for tag in tags]
        rules = value.get(RULES)
        for rule in rules if isinstance(rules, list) else ():
            actions = rule.get("scheduledActionConfigurations") if isinstance(rule, dict) else None
            for action in actions if isinstance(actions, list) else ():
                if isinstance(action, dict):
                    self._bind_notice(action)

    def _bind_notice(self, action: dict[str, Any]) -> None:
        if isinstance(action.get("notificationTemplateId"), str):
            action["notificationTemplateId"] = self._here(action["notificationTemplateId"])
        if isinstance(action.get("notificationMessageCCList"), list):
            copied = action["notificationMessageCCList"]
            action["notificationMessageCCList"] = [self._here(str(each)) for each in copied]

    def _policy(
        self, key: str, cleaned: dict[str, Any], endpoint: Endpoint, origin: Origin, api: Mapping[str, Any]
    ) -> Desired:
        ours = {"recipe": NAME, **api, **({"once": [RULES]} if RULES in cleaned else {})}
        if "description" in cleaned:
            cleaned["description"] = without_marker(cleaned["description"])
        beta = {"note": "through Graph beta"} if api or endpoint.beta_only else {}
        rails = {"published": True, **beta}
        return Desired(kind=endpoint.kind, key=key, origin=origin, properties={**cleaned, **ours}, rails=rails)

    def _below(
        self, key: str, found: Found, cleaned: Mapping[str, Any], origin: Origin, api: Mapping[str, Any]
    ) -> Iterator[Desired]:
        kind, below = found.endpoint.kind, {"policy": key, **api}
        if RULES in cleaned:
            actions = {"actions": actions_in(cleaned[RULES])}
            yield Desired(kind=f"{kind}.actions", key=key, origin=origin, properties={**actions, **below})
        apps = identifiers(each for each in found.body.value.get("apps") or () if isinstance(each, dict))
        if apps:
            yield Desired(kind=f"{kind}.apps", key=key, origin=origin, properties={"apps": apps, **below})
        if given := found.body.value.get("definitionValues"):
            values = [plain_value(value) for value in fill(given, self._bind)]
            properties = {"policy": key, "values": sorted(values, key=lambda value: value["definition"])}
            yield Desired(kind=f"{kind}.values", key=key, origin=origin, properties=properties)
        if found.endpoint.assigned:
            yield from self._assignments(key, found, origin, below)

    # -- what can be sent ------------------------------------------------------------------------------------------

    def _checked(
        self, value: Mapping[str, Any], endpoint: Endpoint, origin: Origin, values: Sequence[Any]
    ) -> tuple[dict[str, Any], Version] | None:
        """The body as it is written and the version of Graph that takes it; None if there is a reason against it."""
        version: Version = "beta" if endpoint.beta_only else "v1.0"
        told = list(self._of_itself(value, endpoint, values))
        cleaned = clean(value, endpoint.kind, version)
        problems = validate(without_nulls(cleaned), endpoint.kind, version)
        beta = [problem for problem in problems if problem.code == "beta-only"]
        if beta and self._options.allow_beta:
            version = "beta"
            cleaned = clean(value, endpoint.kind, version)
            problems, beta = validate(without_nulls(cleaned), endpoint.kind, version), []
        known = {path for path, _, _ in told}
        sound = [each for each in problems if each.code != "beta-only" and each.path not in known]
        told += [(each.path, each.code, each.message) for each in sound]
        if beta or (endpoint.beta_only and not self._options.allow_beta):
            told.append(_needs_beta([each.path for each in beta]))
        for path, code, message in told:
            where = f"{origin.place}.{path}" if origin.place and path else f"{origin.place}{path}"
            self._problems.add(origin.file, where, code, message)
        return None if told else (cleaned, version)

    def _of_itself(
        self, value: Mapping[str, Any], endpoint: Endpoint, values: Sequence[Any]
    ) -> Iterator[tuple[str, str, str]]:
        """(path, code, message): what is wrong whatever the version. ``values`` are those of a template."""
        for path, placeholder in (*unfilled(value), *unfilled(list(values), "definitionValues")):
            yield path, "missing-binding", f"holds the placeholder {placeholder}: --bind says what it stands for here"
        for path in plain_secrets(value):
            yield path, "plain-secret", "holds a secret as it is, which no plan may keep: set it in Intune"
        if endpoint.kind == "deviceCompliancePolicy":
            blocks = [each for each in actions_in(value.get(RULES)) if each["actionType"] == "block"]
            if len(blocks) != 1:
                message = f"{len(blocks) or 'no'} block action: a compliance policy must have one and only one"
                yield RULES, "missing-block-action", message
        for index, each in enumerate(values):
            try:
                plain_value(each)
            except (ValueError, AttributeError) as error:
                yield f"definitionValues[{index}]", "missing", str(error)
        name = value.get(endpoint.name)
        if not isinstance(name, str) or not name.strip():
            yield endpoint.name, "missing", f"needs a {endpoint.name}"

    # -- whom it is for --------------------------------------------------------------------------------------------

    def _assignments(self, key: str, found: Found, origin: Origin, below: Mapping[str, Any]) -> Iterator[Desired]:
        entries: dict[str, list[str | dict[str, str]]] = {INCLUDED: [], EXCLUDED: []}
        for target in targets(found):
            way = EXCLUDED if str(target.get("@odata.type")).endswith("exclusionGroupAssignmentTarget") else INCLUDED
            entries[way].append(self._entry(target))
        whole = self._options.mode == AUTHORITATIVE
        told = found.body.assignments is not None or "assignments" in found.body.value
        if not (entries[INCLUDED] or entries[EXCLUDED] or (whole and told)):
            return
        filtered = any(isinstance(each, dict) for each in entries[INCLUDED])
        place = f"{origin.place}.assignments".lstrip(".")
        wish = Desired(
            kind=f"{found.endpoint.kind}.assignment",
            key=key,
            origin=Origin(origin.file, place),
            properties={"include": entries[INCLUDED], "exclude": entries[EXCLUDED], **below},
            rails={"published": True},
        )
        if groups := described(self._groups, (_name(each) for way in entries.values() for each in way)):
            wish.rails["groups"] = groups
        if whole:
            wish.properties["mode"] = AUTHORITATIVE
        if filtered and self._options.allow_beta:
            wish.properties["api"] = "beta"
        elif filtered:
            wish.blocked = "needs beta: its assignment filters exist in Graph's beta only (--allow-beta)"
        yield wish

    def _entry(self, target: Mapping[str, Any]) -> str | dict[str, str]:
        """Whom a target means here, with its filter if it has one."""
        kind = "#" + str(target.get("@odata.type")).removeprefix("#")
        given = str(target.get("groupName") or target.get("groupId") or target.get("@odata.type"))
        name = _EVERYBODY.get(kind) or self._here(given)
        chosen = target.get(FILTER_ID)
        if not chosen or target.get(FILTER_TYPE) in (None, "none"):
            return name
        return {"name": name, "filter": self._here(str(chosen)), "filter_type": str(target[FILTER_TYPE])}

    def _here(self, given: str) -> str:
        known = self._names.get(given.lower(), given)
        return self._bind.get(given) or self._bind.get(known, known)


def _name(entry: str | dict[str, str]) -> str:
    return entry if isinstance(entry, str) else entry["name"]


def _needs_beta(paths: list[str]) -> tuple[str, str, str]:
    told = ", ".join(paths[:_MOST_TOLD]) + (f" and {len(paths) - _MOST_TOLD} more" if len(paths) > _MOST_TOLD else "")
    what = told or "this kind of policy"
    verb = "exist" if len(paths) > 1 else "exists"
    return "", "needs-beta", f"{what} {verb} in Graph's beta only: --allow-beta permits it"


RECIPE = Recipe(
    name=NAME,
    summary="Intune policies of any kind as Graph has them: exported, published by others, or kept in a repository",
    permissions=(
        "DeviceManagementConfiguration.ReadWrite.All",
        "DeviceManagementApps.ReadWrite.All",
        "Group.Read.All",
    ),
    desired=desired,
    template="policies.json",
    models=(Wrapped,),
    options=("mode", "adopt", "bind", "create_groups", "allow_beta"),
)
