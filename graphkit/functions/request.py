"""What may be asked for over HTTP: a recipe by name, its inputs as text, and options of a fixed list.

A body never holds code, a token or an address: whatever is not named here is refused. What cannot be taken back, what
touches roles and what binds the whole tenant (``--allow-irreversible``, ``--allow-privileged``, ``--allow-beta``,
``--accept-impact``, ``--confirm``, ``--max-deletes``) is not on the list: that is for an administrator at a prompt.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec

from graphkit.engine.change import canonical
from graphkit.engine.resource import PlanOptions
from graphkit.functions.answer import Refused
from graphkit.jobs import Asked
from graphkit.recipe import find_recipe

MOST_BYTES = 256 * 1024
"""Of a body."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(?:csv|tsv|json|jsonl|yaml|yml)", re.ASCII)
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Options of ``plan`` that a body may hold, with the same meaning."""

    org: str = ""
    mode: Literal["", "additive", "authoritative"] = ""
    adopt: bool = False
    promote: tuple[str, ...] = ()
    add_break_glass: bool = False
    create_groups: bool = False
    transfer: bool = False
    allow_public: bool = False
    skip_invalid: bool = False
    as_of: str = ""
    max_changes: int = PlanOptions().max_changes
    max_removals: int | None = None


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``inputs`` are documents by file name; ``map`` names the one that is a map, ``set`` gives its values.

    ``label`` is any short text: the same request under another label is another run.
    """

    inputs: dict[str, str]
    options: Options = Options()
    map: str = ""
    set: dict[str, str] = {}
    label: str = ""


class RunRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request, without the documents: those are named by their digest. Everything that makes the run's id."""

    recipe: str
    digests: dict[str, str]
    options: Options = Options()
    map: str = ""
    set: dict[str, str] = {}
    label: str = ""
    drift: bool = False

    @property
    def id(self) -> str:
        """The same request twice is the same run."""
        return hashlib.sha256(canonical(msgspec.to_builtins(self)).encode()).hexdigest()[:32]

    def asked(self, folder: Path, orgs_file: Path | None) -> Asked:
        """As a job takes it; the documents lie in ``folder``, and nothing outside it is read but the registry."""
        return Asked(
            recipe=self.recipe,
            inputs=self._given(folder),
            options=PlanOptions(**{name: getattr(self.options, name) for name in Options.__struct_fields__}),
            map_file=self.map or None,
            values=self.set,
            orgs_file=orgs_file,
            within=folder,
        )

    def _given(self, folder: Path) -> tuple[str, ...]:
        """The documents that no other one names: a pool's CSV is read where the pool says so, not by itself."""
        texts = {name: (folder / name).read_bytes() for name in self.digests}
        return tuple(
            name
            for name in sorted(texts)
            if name != self.map and not any(_names(text, name) for other, text in texts.items() if other != name)
        )


def _names(text: bytes, name: str) -> bool:
    return re.search(rb"(?<![\w.-])" + re.escape(name.encode()) + rb"(?![\w.-])", text) is not None


def is_id(text: str) -> bool:
    """Could it be a run's id? What could not never becomes a path."""
    return _ID.fullmatch(text) is not None


def digests_of(documents: Mapping[str, bytes]) -> dict[str, str]:
    """What stands for the documents in a request."""
    return {name: hashlib.sha256(documents[name]).hexdigest() for name in sorted(documents)}


def allowed_recipe(name: str, allowed: tuple[str, ...]) -> str:
    """The recipe's own name. Raises ``Refused`` unless the setting lists it."""
    listed = {find_recipe(each).name for each in allowed}
    known = name.replace("licences.", "licenses.", 1) if name.startswith("licences.") else name
    if known not in listed:
        raise Refused(
            403, "this recipe is not among those that this app runs", hint="GRAPHKIT_FUNCTIONS_RECIPES lists them"
        )
    return known


def parse(recipe: str, body: bytes) -> tuple[RunRequest, dict[str, bytes]]:
    """The request and its documents. Raises ``Refused`` for whatever a body may not hold."""
    if len(body) > MOST_BYTES:
        raise Refused(
            413,
            f"the body has {len(body):,} bytes, and {MOST_BYTES:,} are accepted",
            hint="larger inputs belong to the command line, or to the folder of the timer",
        )
    try:
        given = msgspec.json.decode(body, type=Body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(
            400, f"the body is not as it should be: {error}", hint="docs/azure-functions.md shows one"
        ) from None
    _check(given)
    documents = {name: text.encode() for name, text in given.inputs.items()}
    request = RunRequest(recipe, digests_of(documents), given.options, given.map, given.set, given.label)
    return request, documents


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _check(given: Body) -> None:
    wrong = [name for name in given.inputs if not _NAME.fullmatch(name)]
    if wrong or not given.inputs:
        what = f"{wrong[0][:60]!r} is no file name such as pools.yaml" if wrong else "there is no input"
        raise Refused(
            400, f"inputs: {what}", hint="letters, digits, . _ - and a suffix csv, tsv, json, jsonl, yaml or yml"
        )
    if len({name.lower() for name in given.inputs}) < len(given.inputs):
        raise Refused(400, "inputs: two names differ in case only")
    if given.map and given.map not in given.inputs:
        raise Refused(400, f"map: {given.map[:60]!r} is not among the inputs")
    if given.options.as_of and not _is_day(given.options.as_of):
        raise Refused(400, "options.as_of: not a day such as 2026-03-31")
    if given.options.max_changes < 0 or (given.options.max_removals or 0) < 0:
        raise Refused(400, "options: a limit below 0")
    if len(given.label) > 64:
        raise Refused(400, "label: longer than 64 characters")
