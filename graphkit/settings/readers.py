"""How one value is read: (value as found, folder that relative paths start from) to the value, or ``ValueError``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

# An allow-list rather than a parser: what does not read exactly so is refused, whatever a URL library would make
# of user names, backslashes, decimal addresses, tabs or look-alike hosts.
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LOOPBACK = re.compile(
    rf"(?P<scheme>https?)://(?:localhost|127(?:\.{_OCTET}){{3}}|\[::1\])(?::(?P<port>[1-9]\d{{0,4}}))?/?",
    re.ASCII | re.IGNORECASE,
)
_USER_INFO = re.compile(r"//[^/]*@")


def as_text(value: object, _: Path) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value.strip()


def one_of(*allowed: str) -> Callable[[object, Path], str]:
    def read(value: object, base: Path) -> str:
        text = as_text(value, base).lower()
        if text not in allowed:
            raise ValueError(f"'{text}' is not one of {', '.join(allowed)}")
        return text

    return read


def as_path(value: object, base: Path) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError("must be a path")
    try:
        return base / Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"'{value}' names a home folder that is not known") from None


def as_path_text(value: object, base: Path) -> str:
    return str(as_path(value, base))


def as_switch(value: object, _: Path) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError(f"'{text}' is neither yes nor no")
    return text in ("1", "true", "yes", "on")


def as_presence(value: object, _: Path) -> bool:
    return value if isinstance(value, bool) else True


def as_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number")
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"'{value}' is not a number") from None
    if not 0 < number < float("inf"):
        raise ValueError(f"{value} is not above 0")
    return number


def as_seconds(value: object, _: Path) -> float:
    return as_number(value)


def as_share(value: object, _: Path) -> float:
    number = as_number(value)
    if number > 1:
        raise ValueError(f"{value} is above 1, the whole quota")
    return number


def as_texts(value: object, base: Path) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("must be a list, or text with commas between")
    return tuple(text for part in parts if (text := as_text(part, base)))


def as_watched(value: object, base: Path) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise ValueError('must be a table of recipes, such as "licenses.pools" = ["pools.yaml"]')
    return {str(name): tuple(str(base / path) for path in as_texts(paths, base)) for name, paths in value.items()}


def as_limits(value: object, _: Path) -> Mapping[str, float]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a table of numbers")
    return {str(name): as_number(limit) for name, limit in value.items()}


def loopback_url(value: object, _: Path = Path(), *, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """A loopback address in lower case without trailing slash. Raises ``ValueError`` for any other."""
    text = value if isinstance(value, str) else ""
    match = _LOOPBACK.fullmatch(text)
    if not match or int(match["port"] or 1) > 65535:
        shown = _USER_INFO.sub("//<...>@", text)[:100]
        raise ValueError(
            f"'{shown}' is refused: only a loopback root is accepted, without user name, path or version "
            f"({schemes[0]}://127.0.0.1:8080; 127.0.0.0/8, [::1] or localhost)"
        )
    if match["scheme"].lower() not in schemes:
        raise ValueError(f"'{text}' is refused: it must begin with {schemes[0]}://")
    return text.lower().rstrip("/")


def loopback_https(value: object, base: Path) -> str:
    # azure-identity and MSAL both refuse an authority without TLS.
    return loopback_url(value, base, schemes=("https",))


_QUEUES = re.compile(
    # The endpoints of Queue Storage in the public cloud, US Government and 21Vianet
    # (learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure).
    r"https://[a-z0-9]{3,24}\.queue\.core\.(?:windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)/?",
    re.ASCII,
)


def as_queues(value: object, base: Path) -> str:
    text = as_text(value, base)
    if not _QUEUES.fullmatch(text):
        raise ValueError(
            f"'{text}' is not the address of an Azure queue service: https://<account>.queue.core.windows.net"
        )
    return text.rstrip("/")


def as_time_span(value: object, base: Path) -> float:
    """``hh:mm:ss`` as in host.json, or seconds. No limit at all (``-1``) is half an hour to us: slices have an end."""
    text = str(value).strip()
    if text == "-1":
        return 1800.0
    if not (match := re.fullmatch(r"(\d{1,2}):(\d{2}):(\d{2})", text)):
        return as_seconds(value, base)
    hours, minutes, seconds = (int(part) for part in match.groups())
    return as_number(hours * 3600 + minutes * 60 + seconds)


def as_schedule(value: object, base: Path) -> str:
    text = " ".join(as_text(value, base).split())
    if len(text.split()) != 6:
        raise ValueError(f"'{text}' is not six fields: second minute hour day month weekday, such as 0 0 2 * * *")
    return text


def as_proxy(value: object, base: Path) -> str:
    text = as_text(value, base)
    address = text if "://" in text else f"http://{text}"
    if not address.lower().startswith(("http://", "https://")):
        raise ValueError("must be an http:// or https:// address")
    return address


def folder(kind: str) -> Callable[[], Path]:
    def find() -> Path:
        import platformdirs  # a tenth of a start-up: only when settings are really loaded

        # No author folder: %LOCALAPPDATA%\graphkit rather than graphkit\graphkit.
        root: Path = getattr(platformdirs, f"user_{kind}_path")("graphkit", appauthor=False)
        return root / "runs" if kind == "state" else root

    return find
