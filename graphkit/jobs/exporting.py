"""Export: the tenant's policies as files that a person can review and a plan can read. Nothing is sent but reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphkit.engine.resource import Context, PlanOptions
from graphkit.engine.snapshot import Snapshot
from graphkit.errors import UsageError
from graphkit.jobs.export_folder import File, Form, open_folder, paths, render
from graphkit.jobs.planning import Say
from graphkit.jobs.summary import FORMAT
from graphkit.resources.exports import Exported, export_groups, export_named, export_policies
from graphkit.resources.intune import ENDPOINTS, Endpoint
from graphkit.resources.naming import Namer
from graphkit.session import Session

GROUPS = "groups"
_RING = "windowsUpdateForBusinessConfiguration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What one word of the command line stands for. ``types``: only, or (``but``) all but, objects of these types."""

    folder: str
    named: tuple[str, str] = ("", "")
    collections: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    but: bool = False

    @property
    def endpoints(self) -> list[Endpoint]:
        return [each for each in ENDPOINTS if each.kind in self.collections]

    @property
    def beta_only(self) -> bool:
        return bool(self.collections) and all(each.beta_only for each in self.endpoints)


_CA = "/identity/conditionalAccess/"
KINDS: Mapping[str, Kind] = {
    "conditional-access": Kind(
        folder="conditional-access/policies", named=(f"{_CA}policies", "conditionalAccessPolicy")
    ),
    "named-locations": Kind(
        folder="conditional-access/named-locations", named=(f"{_CA}namedLocations", "namedLocation")
    ),
    "compliance": Kind(folder="devices/compliance", collections=("deviceCompliancePolicy",)),
    "configuration": Kind(
        folder="devices/configuration", collections=("deviceConfiguration",), types=(_RING,), but=True
    ),
    "update-rings": Kind(folder="devices/update-rings", collections=("deviceConfiguration",), types=(_RING,)),
    "app-protection": Kind(
        folder="devices/app-protection",
        collections=tuple(each.kind for each in ENDPOINTS if each.path.startswith("/deviceAppManagement/")),
    ),
    "settings-catalog": Kind(folder="devices/settings-catalog", collections=("deviceManagementConfigurationPolicy",)),
    "updates": Kind(
        folder="devices/updates",
        collections=(
            *("windowsFeatureUpdateProfile", "windowsQualityUpdateProfile"),
            *("windowsQualityUpdatePolicy", "windowsDriverUpdateProfile"),
        ),
    ),
    "assignment-filters": Kind(
        folder="devices/assignment-filters", collections=("deviceAndAppManagementAssignmentFilter",)
    ),
}


@dataclass(slots=True)
class _Found:
    files: list[File] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    objects: list[Exported] = field(default_factory=list)

    def add(self, kind: str, folder: str, exported: Sequence[Exported]) -> None:
        for each in exported:
            self.files.append(File(folder, each.name, each.object_id, each.body))
            self.kinds.append(kind)
            self.objects.append(each)


async def export(
    session: Session,
    kinds: Sequence[str],
    folder: Path,
    *,
    form: Form = "yaml",
    allow_beta: bool = False,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Write the tenant's policies of ``kinds`` (keys of ``KINDS``; none: all that may be read) below ``folder``.

    Everything is read before anything is written. Returns the object that the command prints. Raises ``UsageError``
    for an unknown kind, one that needs beta, or a folder that is not the export's own; and what stops a list.
    """
    chosen, notes = _chosen(kinds, allow_beta=allow_beta)
    place = open_folder(folder)
    place.check(session.tenant.id)
    found = await _read(session, chosen, allow_beta=allow_beta, say=say)
    files, told, secrets = _files(found, form)
    # Groups are those that any policy names, so that only an export of everything knows which are no longer named.
    over = [*chosen, *([GROUPS] if len(chosen) == len(KINDS) else [])]
    changes = place.write(session.tenant.id, over, files)
    counts = Counter(kind for kind, _ in files.values())
    return {
        "format": FORMAT,
        "tenant": session.tenant.to_json(),
        "folder": str(folder),
        "kinds": {kind: counts[kind] for kind in (*chosen, GROUPS)},
        **changes,
        "secrets": secrets,
        "notes": [*notes, *told],
    }


def _chosen(kinds: Sequence[str], *, allow_beta: bool) -> tuple[list[str], list[str]]:
    """The kinds in their own order, and what is left out."""
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise UsageError(f"{unknown[0]} is not a kind that can be exported", hint=f"there are: {', '.join(KINDS)}")
    needing = [name for name, kind in KINDS.items() if kind.beta_only and not allow_beta]
    if wanted := [name for name in needing if name in kinds]:
        raise UsageError(f"{', '.join(wanted)} can be read through Graph's beta only", hint="--allow-beta permits it")
    left_out = [] if kinds or not needing else [f"left out, for they need --allow-beta: {', '.join(needing)}"]
    return [name for name in KINDS if (name in kinds if kinds else name not in needing)], left_out


async def _read(session: Session, kinds: Sequence[str], *, allow_beta: bool, say: Say) -> _Found:
    found = _Found()
    with closing(Snapshot()) as snapshot:
        context = Context(session.client, session.clock, snapshot, PlanOptions(allow_beta=allow_beta))
        namer = Namer(context)
        for name in kinds:
            say(f"reading {name}")
            async for exported in _objects(context, namer, KINDS[name], allow_beta=allow_beta):
                found.add(name, KINDS[name].folder, exported)
        found.add(GROUPS, GROUPS, export_groups(namer))
    return found


async def _objects(
    context: Context, namer: Namer, kind: Kind, *, allow_beta: bool
) -> AsyncIterator[Sequence[Exported]]:
    if kind.named[0]:
        yield await export_named(context, namer, *kind.named, beta=allow_beta)
    for endpoint in kind.endpoints:
        if allow_beta or not endpoint.beta_only:
            types = kind.types if not kind.but else _others(endpoint, kind.types)
            yield await export_policies(context, namer, endpoint, types, beta=allow_beta)


def _others(endpoint: Endpoint, types: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in endpoint.types("beta") if name not in types)


def _files(found: _Found, form: Form) -> tuple[dict[str, tuple[str, str]], list[str], list[dict[str, str]]]:
    """(path to kind and text, notes, secrets that are named and not held)."""
    files: dict[str, tuple[str, str]] = {}
    notes: list[str] = []
    secrets: list[dict[str, str]] = []
    for path, file, kind, each in zip(
        paths(found.files, f".{form}"), found.files, found.kinds, found.objects, strict=True
    ):
        files[path] = (kind, render(file.body, form))
        notes += [f"{path}: {note}" for note in dict.fromkeys(each.notes)]
        secrets += [{"file": path, "path": where} for where in each.secrets]
    return files, [*notes, *_twins(found)], secrets


def _twins(found: _Found) -> Iterator[str]:
    names = Counter((file.folder, file.name) for file in found.files)
    for (folder, name), count in sorted(names.items()):
        if count > 1:
            yield f"{count} objects of {folder} are called {name}: no plan takes them until all but one are renamed"
