"""Makes ``beta.json``: ``python -m graphkit.sandbox.data.generate_beta .../msgraph_beta/generated/models 1.66.0``.

The CSDL of beta is not published with v1.0's, but Microsoft's generator has written it into the SDK: every model's
``get_field_deserializers`` names its properties, ``serialize`` tells flags from lists. The models are read as text
(unpack the wheel anywhere; importing 9,000 of them takes minutes). Kept is only what ``schema.json`` lacks: properties
added to known types (or typed otherwise), types and enumerations of beta alone. What the models do not tell: which
properties cannot be null, the width of a number, and which types are open (taken to be: those without a property or
heir). Nothing of v1.0 is taken away: the models
lack properties that beta has by its pages and published exports (isUsable of temporaryAccessPassAuthenticationMethod,
templateId of conditionalAccessPolicy), so what they lack proves nothing.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from graphkit.sandbox.data.generate import FAMILIES, dump

SOURCE = "msgraph-beta-sdk {} msgraph_beta/generated/models"

# Kinds that only beta has, and their assignments.
WANTED = """
    deviceManagementConfigurationPolicy deviceManagementConfigurationPolicyAssignment
    deviceManagementConfigurationSetting deviceManagementConfigurationPolicyTemplate directorySetting
    directorySettingTemplate
    groupPolicyConfiguration groupPolicyConfigurationAssignment
    deviceManagementIntent deviceManagementIntentAssignment deviceManagementSettingInstance
    windowsFeatureUpdateProfile windowsFeatureUpdateProfileAssignment
    windowsQualityUpdateProfile windowsQualityUpdateProfileAssignment
    windowsQualityUpdatePolicy windowsQualityUpdatePolicyAssignment
    windowsDriverUpdateProfile windowsDriverUpdateProfileAssignment
    roleScopeTag roleScopeTagAutoAssignment deviceAndAppManagementAssignmentFilter
"""
BETA_FAMILIES = "deviceManagementSettingInstance"

PRIMITIVES = {
    "str": "String",
    "bool": "Boolean",
    "int": "Int64",
    "float": "Double",
    "datetime": "DateTimeOffset",
    "date": "Date",
    "time": "TimeOfDay",
    "timedelta": "Duration",
    "uuid": "Guid",
    "UUID": "Guid",
    "bytes": "Binary",
}


@dataclass
class Model:
    """One file of the SDK: a class with its properties, or an enumeration with its members."""

    module: str
    name: str
    base: str = ""
    properties: dict[str, tuple[str, str]] = field(default_factory=dict)
    """``name -> (getter, class or primitive)``"""
    members: list[str] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    """Properties that are read as a list and written as one value: combinations of flags."""


class Models:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: dict[str, str] = {}
        self.heirs: dict[str, list[str]] = {}
        for path in sorted(folder.rglob("*.py")):
            module = ".".join(path.relative_to(folder).with_suffix("").parts)
            text = path.read_text("utf-8")
            found = re.search(r"^class (\w+)\((\w+)", text, re.M)
            if found:
                self.modules[module] = found[1]
                self.heirs.setdefault(found[2], []).append(module)

    @cache  # noqa: B019 - there is one of these, as long as the script runs
    def read(self, module: str) -> Model:
        tree = ast.parse((self.folder / (module.replace(".", "/") + ".py")).read_text("utf-8"))
        kind = next(node for node in tree.body if isinstance(node, ast.ClassDef))
        model = Model(module, self.modules[module])
        model.imports = {model.name: module, **dict(imported(tree, module))}
        base = kind.bases[0].id if isinstance(kind.bases[0], ast.Name) else ""
        model.base = model.imports.get(base, "")
        for node in kind.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple | ast.Constant):
                model.members.append(str(constants(node.value)[0]))
            elif isinstance(node, ast.FunctionDef) and node.name == "get_field_deserializers":
                model.properties = dict(properties(node))
            elif isinstance(node, ast.FunctionDef) and node.name == "serialize":
                model.flags = written_as_one(node)
        return model

    def chain(self, module: str) -> Iterator[Model]:
        while module:
            model = self.read(module)
            yield model
            module = model.base

    def is_entity(self, module: str) -> bool:
        return any(model.module == "entity" for model in self.chain(module))

    def descendants(self, module: str) -> list[str]:
        near = [m for m in self.heirs.get(self.modules[module], []) if self.read(m).base == module]
        return near + [later for heir in near for later in self.descendants(heir)]


def constants(node: ast.AST) -> list[Any]:
    return [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)]


def imported(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    """``class -> module`` of the models that a file imports."""
    folders = module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node.module:
            above = folders[: len(folders) - node.level + 1]
            for name in node.names:
                yield name.asname or name.name, ".".join([*above, node.module])


def properties(method: ast.FunctionDef) -> Iterator[tuple[str, tuple[str, str]]]:
    """The rows ``"name": lambda n : setattr(self, 'name', n.get_x_value(Class))``."""
    table = next(node for node in ast.walk(method) if isinstance(node, ast.Dict))
    for key, row in zip(table.keys, table.values, strict=True):
        call = row.body.args[2] if isinstance(row, ast.Lambda) and isinstance(row.body, ast.Call) else None
        if isinstance(key, ast.Constant) and isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            of = call.args[0].id if call.args and isinstance(call.args[0], ast.Name) else ""
            yield str(key.value), (call.func.attr.removeprefix("get_").removesuffix("_value"), of)


def written_as_one(method: ast.FunctionDef) -> set[str]:
    return {
        str(call.args[0].value)
        for call in ast.walk(method)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "write_enum_value"
        and isinstance(call.args[0], ast.Constant)
    }


def differs(beta: str, v1: str) -> bool:
    """Is a known property of another enumeration or type in beta? The width of a number is not to be seen."""
    mine, theirs = beta.lstrip(">"), v1.lstrip(">").rstrip("!")
    return mine != theirs and not {mine.strip("*"), theirs.strip("*")} & {"Int64", "Double", "Untyped", "Stream"}


class Difference:
    """What the models have beyond the table of v1.0."""

    def __init__(self, models: Models, v1: dict[str, Any]) -> None:
        self.models = models
        self.v1 = v1
        self.spelling: dict[str, str] = {name.lower(): name for name in [*v1["types"], *v1["enums"], *v1["segments"]]}
        self.by_name = {self.name(module): module for module in models.modules}
        self.added: dict[str, dict[str, str]] = {}
        self.types: dict[str, Any] = {}
        self.enums: dict[str, Any] = {}
        self.waiting: list[str] = []

    def name(self, module: str) -> str:
        """``windows_updates.update_policy`` -> ``windowsUpdates.updatePolicy``, spelt as v1.0 spells it."""
        *folders, last = module.split(".")
        if folders[-1:] == [last]:
            folders.pop()  # a type with the name of a namespace is kept inside its folder
        kind = self.models.modules[module]
        prefix = "".join(re.sub(r"_(\w)", lambda m: m[1].upper(), folder) + "." for folder in folders)
        name = prefix + kind[0].lower() + kind[1:]
        return self.spelling.get(name.lower(), name)

    def typed(self, owner: Model, name: str) -> str:
        """The type of a property in the notation of ``generate.py``."""
        getter, of = owner.properties[name]
        many = getter.startswith("collection_of") and name not in owner.flags
        if getter.removeprefix("collection_of_").startswith(("object", "enum")):
            if of not in owner.imports:
                return "*Untyped" if many else "Untyped"
            module = owner.imports[of]
            self.use(module, flags=name in owner.flags and getter.startswith("collection_of"))
            mark = ">" if self.models.is_entity(module) else ""
            return f"{mark}{'*' if many else ''}{self.name(module)}"
        kind = PRIMITIVES[of or getter]
        return f"*{kind}" if many else kind

    def use(self, module: str, *, flags: bool) -> None:
        model = self.models.read(module)
        if not model.members:
            if not self.models.is_entity(module):
                self.waiting.append(module)
            return
        name = self.name(module)
        known = self.v1["enums"].get(name)
        if known is None or not set(model.members) <= set(known["members"]):
            row = self.enums.setdefault(name, {"members": model.members, "flags": bool(known and known["flags"])})
            row["flags"] = row["flags"] or flags

    def add(self, module: str) -> None:
        name = self.name(module)
        if name in self.types or name in self.added:
            return
        model = self.models.read(module)
        if name not in self.v1["types"]:
            row = self.types[name] = {"properties": {}}
            row["properties"] = self.own([model], known={})
            if model.base:
                row["base"] = self.name(model.base)
                self.waiting.append(model.base)
            elif not row["properties"] and not self.models.descendants(module):
                row["open"] = True
        else:
            self.added[name] = {}  # marks it as being worked on: types may hold each other
            self.added[name] = self.own(self.down_to_v1(model), known=self.known(name))
        if not self.models.is_entity(module) or name in BETA_FAMILIES.split():
            self.waiting += self.models.descendants(module)

    def own(self, models: list[Model], known: dict[str, str]) -> dict[str, str]:
        """What is new; the known ones are looked at too, for types that changed and enumerations that have grown."""
        typed = {name: self.typed(model, name) for model in models for name in model.properties if "@" not in name}
        return {name: kind for name, kind in sorted(typed.items()) if name not in known or differs(kind, known[name])}

    def down_to_v1(self, model: Model) -> list[Model]:
        """The model and those of its bases that v1.0 does not put above it."""
        bases = set(self.ancestors(self.name(model.module)))
        chain = list(self.models.chain(model.module))
        stops = [i for i, each in enumerate(chain) if i and self.name(each.module) in bases]
        return chain[: stops[0]] if stops else chain

    def ancestors(self, name: str) -> Iterator[str]:
        while base := self.v1["types"].get(name, {}).get("base"):
            yield base
            name = base

    def known(self, name: str) -> dict[str, str]:
        rows = [self.v1["types"][each] for each in [name, *self.ancestors(name)] if each in self.v1["types"]]
        return {found: kind for row in reversed(rows) for found, kind in row["properties"].items()}

    def run(self) -> None:
        self.waiting += [self.by_name[name] for name in [*self.v1["types"], *WANTED.split()] if name in self.by_name]
        for name in FAMILIES.split():
            self.waiting += self.models.descendants(self.by_name[name])
        while self.waiting:
            self.add(self.waiting.pop())


def build(folder: Path, version: str, v1: dict[str, Any]) -> dict[str, Any]:
    found = Difference(Models(folder), v1)
    if unknown := sorted(set(WANTED.split()) - found.by_name.keys()):
        raise SystemExit(f"not in the models: {', '.join(unknown)}")
    found.run()
    return {
        "source": SOURCE.format(version),
        "added": {name: row for name, row in sorted(found.added.items()) if row},
        "types": dict(sorted(found.types.items())),
        "enums": dict(sorted(found.enums.items())),
    }


def main(folder: Path, version: str) -> None:
    here = Path(__file__).parent
    v1 = json.loads((here / "schema.json").read_text("utf-8"))
    (here / "beta.json").write_text(dump(build(folder, version, v1)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
