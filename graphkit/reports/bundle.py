"""A support bundle: what helps to find a fault, and nothing that names a person, an object or a secret.

Built from what may be told, not by taking out what may not: counts, codes, states, times, versions, request ids. Names,
keys, bodies and the service's messages, which may quote people, are never read into it.
"""

from __future__ import annotations

import platform
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from typing import Any

import msgspec

from graphkit import __version__
from graphkit.engine.runfile import RunFile
from graphkit.settings import SETTINGS, Settings

PACKAGES = ("httpx", "httpcore", "azure-identity", "msal", "msgspec", "pydantic", "tenacity", "msgraph-sdk", "aiohttp")
TOLD = frozenset(
    {
        *("cloud", "auth", "quota_share", "limits", "wire", "connect_timeout", "read_timeout", "write_timeout"),
        *("pool_timeout", "log_level", "log_format", "no_color"),
    }
)
"""Settings whose values say nothing about anybody; of the others only their origin is told."""
SAMPLES = 5
"""Request ids of each kind of failure: Microsoft's support asks for them."""


def bundle(settings: Settings, runs: Iterable[RunFile]) -> dict[str, Any]:
    """The bundle's files: name to what it holds as JSON."""
    files: dict[str, Any] = {"about.json": _about(), "settings.json": _settings(settings)}
    for number, run in enumerate(runs, 1):
        files[f"run-{number}.json"] = _run(run)
    return files


def zipped(files: Mapping[str, Any]) -> bytes:
    """The files as one archive, byte for byte those that the preview shows."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, shown(content))
    return archive.getvalue()


def shown(content: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def _about() -> dict[str, Any]:
    return {
        "graphkit": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _settings(settings: Settings) -> dict[str, Any]:
    told: dict[str, Any] = {"target": {"kind": settings.target.kind, "virtual_time": settings.target.virtual_time}}
    for setting in SETTINGS:
        if setting.name in settings.origins:
            told[setting.name] = {"origin": settings.origin(setting.name)}
            if setting.name in TOLD:
                told[setting.name]["value"] = getattr(settings, setting.name)
    return told


def _run(run: RunFile) -> dict[str, Any]:
    header = run.header()
    options = {name: value for name, value in header.get("options", {}).items() if isinstance(value, bool | int)}
    kinds: Counter[tuple[str, str, str, str]] = Counter()
    samples: dict[tuple[str, str, str, str], list[str]] = {}
    for change, result in run.results():
        status = result.status.value if result else "open"
        line = (change.kind, change.action.value, status, result.code if result else "")
        kinds[line] += 1
        if result and result.request_id and status in ("failed", "unknown"):
            kept = samples.setdefault(line, [])
            kept += [result.request_id] if len(kept) < SAMPLES else []
    return {
        "recipe": header.get("recipe"),
        "status": header.get("status"),
        "format": header.get("format"),
        "created": _time(header.get("created")),
        "apps": len(header.get("apps", ())),
        "inputs": len(header.get("inputs", ())),
        "options": options,
        "limits": header.get("limits"),
        "blocked": len(header.get("blocked") or ()),
        "warnings": len(header.get("warnings") or ()),
        "left_out": run.left_out(),
        "cost": header.get("cost"),
        "changes": [
            {"kind": kind, "action": action, "status": status, "code": code, "count": count}
            | ({"request_ids": samples[line]} if line in samples else {})
            for line, count in sorted(kinds.items())
            for kind, action, status, code in [line]
        ],
    }


def _time(at: Any) -> str:
    return datetime.fromtimestamp(float(at), UTC).isoformat(timespec="seconds") if at else ""
