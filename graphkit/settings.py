"""Flags, environment, ``.env``, ``graphkit.toml`` and the user's config become one frozen :class:`Settings`.

This is the only module that reads the environment. A setting is looked for in that order and the first answer
counts; where it came from is kept (:meth:`Settings.origin`). Everything wrong is reported at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graphkit.errors import UsageError

if TYPE_CHECKING:
    import ssl

CLOUD_NAMES = ("global", "usgov", "usgov-dod", "china")
AUTH_METHODS = (
    "auto",
    "client-secret",
    "certificate",
    "managed-identity",
    "workload-identity",
    "azure-cli",
    "interactive",
    "device-code",
    "access-token",
)
REPLAY = "replay:"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")

# An allow-list rather than a parser: what does not read exactly so is refused, whatever a URL library would make
# of user names, backslashes, decimal addresses, tabs or look-alike hosts.
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LOOPBACK = re.compile(
    rf"(?P<scheme>https?)://(?:localhost|127(?:\.{_OCTET}){{3}}|\[::1\])(?::(?P<port>[1-9]\d{{0,4}}))?/?",
    re.ASCII | re.IGNORECASE,
)
_USER_INFO = re.compile(r"//[^/]*@")


@dataclass(frozen=True, slots=True)
class Target:
    """What a command talks to.

    ``name`` is the cloud's name, ``simulated``, the loopback address without a trailing slash, or ``replay:`` and the
    cassette's path. ``state`` is the file that keeps the simulated tenant, ``virtual_time`` whether time jumps instead
    of passing.
    """

    kind: Literal["cloud", "simulated", "loopback", "replay"]
    name: str
    state: Path | None = None
    virtual_time: bool = False

    @property
    def url(self) -> str:
        """The loopback root; empty for the other kinds."""
        return self.name if self.kind == "loopback" else ""

    @property
    def cassette(self) -> Path:
        """The file to replay; of a target of that kind only."""
        return Path(self.name.removeprefix(REPLAY))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Identity:
    """One of several app registrations, and how it proves who it is: by exactly one of the last three.

    ``client_secret`` comes from the variable that ``client_secret_variable`` names.
    """

    client_id: str
    certificate_path: str = ""
    federated_token_file: str = ""
    client_secret_variable: str = ""
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known about one field of :class:`Settings`: its names outside, and its line in the manual.

    ``env`` holds the variables in order of precedence, ``key`` the dotted name in ``graphkit.toml``; either may be
    empty. A secret is never shown and never read from ``graphkit.toml``, which is made to be shared.
    """

    name: str
    doc: str
    env: tuple[str, ...]
    key: str
    secret: bool
    read: Callable[[object, Path], Any]

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


# --- how one value is read: (value as found, folder that relative paths start from) -> value, or ValueError ---


def _text(value: object, _: Path) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value.strip()


def _one_of(*allowed: str) -> Callable[[object, Path], str]:
    def read(value: object, base: Path) -> str:
        text = _text(value, base).lower()
        if text not in allowed:
            raise ValueError(f"'{text}' is not one of {', '.join(allowed)}")
        return text

    return read


def _path(value: object, base: Path) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError("must be a path")
    return base / Path(value).expanduser()


def _path_text(value: object, base: Path) -> str:
    return str(_path(value, base))


def _switch(value: object, _: Path) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError(f"'{text}' is neither yes nor no")
    return text in ("1", "true", "yes", "on")


def _presence(value: object, _: Path) -> bool:
    return value if isinstance(value, bool) else True


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number")
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"'{value}' is not a number") from None
    if not 0 < number < float("inf"):
        raise ValueError(f"{value} is not above 0")
    return number


def _seconds(value: object, _: Path) -> float:
    return _number(value)


def _share(value: object, _: Path) -> float:
    number = _number(value)
    if number > 1:
        raise ValueError(f"{value} is above 1, the whole quota")
    return number


def _list(value: object, base: Path) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("must be a list, or text with commas between")
    return tuple(text for part in parts if (text := _text(part, base)))


_PROOFS = ("certificate_path", "federated_token_file", "client_secret_variable")


def _identities(value: object, base: Path) -> tuple[Identity, ...]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise ValueError("must be tables, each under [[identities]]")
    found = tuple(_identity(item, base) for item in value)
    ids = [item.client_id.lower() for item in found]
    if twice := next((one for one in ids if ids.count(one) > 1), ""):
        raise ValueError(f"{twice} is there twice")
    return found


def _identity(table: Mapping[str, object], base: Path) -> Identity:
    if "client_secret" in table:
        raise ValueError(
            "a secret does not belong here; put it into the environment or a private .env, and name its variable: "
            "client_secret_variable"
        )
    if unknown := sorted(set(table) - {"client_id", *_PROOFS}):
        raise ValueError(f"{unknown[0]}: no such key")
    client_id = _text(table.get("client_id", ""), base)
    proofs = [name for name in _PROOFS if table.get(name)]
    if not client_id or len(proofs) != 1:
        raise ValueError(f"each needs client_id and exactly one of {', '.join(_PROOFS)}")
    read = _text if proofs[0] == "client_secret_variable" else _path_text
    return Identity(client_id, **{proofs[0]: read(table[proofs[0]], base)})


def _watched(value: object, base: Path) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise ValueError('must be a table of recipes, such as "licenses.pools" = ["pools.yaml"]')
    return {str(name): tuple(str(base / path) for path in _list(paths, base)) for name, paths in value.items()}


def _limits(value: object, _: Path) -> Mapping[str, float]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a table of numbers")
    return {str(name): _number(limit) for name, limit in value.items()}


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


def _loopback_https(value: object, base: Path) -> str:
    # azure-identity and MSAL both refuse an authority without TLS.
    return loopback_url(value, base, schemes=("https",))


_QUEUES = re.compile(
    # The endpoints of Queue Storage in the public cloud, US Government and 21Vianet
    # (learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure).
    r"https://[a-z0-9]{3,24}\.queue\.core\.(?:windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)/?",
    re.ASCII,
)


def _queues(value: object, base: Path) -> str:
    text = _text(value, base)
    if not _QUEUES.fullmatch(text):
        raise ValueError(
            f"'{text}' is not the address of an Azure queue service: https://<account>.queue.core.windows.net"
        )
    return text.rstrip("/")


def _time_span(value: object, base: Path) -> float:
    """``hh:mm:ss`` as in host.json, or seconds. No limit at all (``-1``) is half an hour to us: slices have an end."""
    text = str(value).strip()
    if text == "-1":
        return 1800.0
    if not (match := re.fullmatch(r"(\d{1,2}):(\d{2}):(\d{2})", text)):
        return _seconds(value, base)
    hours, minutes, seconds = (int(part) for part in match.groups())
    return _number(hours * 3600 + minutes * 60 + seconds)


def _schedule(value: object, base: Path) -> str:
    text = " ".join(_text(value, base).split())
    if len(text.split()) != 6:
        raise ValueError(f"'{text}' is not six fields: second minute hour day month weekday, such as 0 0 2 * * *")
    return text


def _proxy(value: object, base: Path) -> str:
    text = _text(value, base)
    address = text if "://" in text else f"http://{text}"
    if not address.lower().startswith(("http://", "https://")):
        raise ValueError("must be an http:// or https:// address")
    return address


def _folder(kind: str) -> Callable[[], Path]:
    def find() -> Path:
        import platformdirs  # a tenth of a start-up: only when settings are really loaded

        # No author folder: %LOCALAPPDATA%\graphkit rather than graphkit\graphkit.
        root: Path = getattr(platformdirs, f"user_{kind}_path")("graphkit", appauthor=False)
        return root / "runs" if kind == "state" else root

    return find


def _about(doc: str, *, env: str = "", key: str = "=", read: Callable[[object, Path], Any] = _text) -> dict[str, Any]:
    """What a field says about itself. ``key`` is ``=`` where graphkit.toml uses the field's own name."""
    return {"doc": doc, "env": tuple(env.split()), "key": key, "read": read}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be chosen from outside, resolved. Secrets are the fields without ``repr``."""

    cloud: str = field(
        default="global",
        metadata=_about(
            "The Microsoft 365 cloud: global, usgov, usgov-dod or china. One record decides hosts, login and scope.",
            env="GRAPHKIT_CLOUD",
            read=_one_of(*CLOUD_NAMES),
        ),
    )
    graph_url: str = field(
        default="",
        metadata=_about(
            "Root, without version, of a test server that speaks Graph. Loopback only, so that no setting can lead "
            "credentials elsewhere; goes before the cloud.",
            env="GRAPHKIT_GRAPH_URL",
            read=loopback_url,
        ),
    )
    authority_url: str = field(
        default="",
        metadata=_about(
            "Login address of a test server, for loopback targets only. Itself loopback, and https, as the login "
            "libraries insist.",
            env="GRAPHKIT_AUTHORITY_URL",
            read=_loopback_https,
        ),
    )
    auth: str = field(
        default="auto",
        metadata=_about(
            f"How to authenticate: {', '.join(AUTH_METHODS)}. auto takes the first that is configured and never "
            "the Azure CLI, which may be signed in elsewhere.",
            env="GRAPHKIT_AUTH",
            read=_one_of(*AUTH_METHODS),
        ),
    )
    tenant_id: str = field(default="", metadata=_about("The tenant's id or one of its domains.", env="AZURE_TENANT_ID"))
    client_id: str = field(
        default="", metadata=_about("The app registration's application (client) id.", env="AZURE_CLIENT_ID")
    )
    client_secret: str = field(
        default="",
        repr=False,
        metadata=_about(
            "A client secret. A certificate, a managed identity or federation is better: nothing to leak.",
            env="AZURE_CLIENT_SECRET",
            key="",
        ),
    )
    certificate_path: str = field(
        default="",
        metadata=_about(
            "PEM or PKCS#12 file with the app's certificate and private key.",
            env="AZURE_CLIENT_CERTIFICATE_PATH",
            read=_path_text,
        ),
    )
    certificate_password: str = field(
        default="",
        repr=False,
        metadata=_about("Password of the certificate file, if any.", env="AZURE_CLIENT_CERTIFICATE_PASSWORD", key=""),
    )
    federated_token_file: str = field(
        default="",
        metadata=_about(
            "File with the platform's own token, for workload identity federation.",
            env="AZURE_FEDERATED_TOKEN_FILE",
            read=_path_text,
        ),
    )
    managed_identity_client_id: str = field(
        default="",
        metadata=_about(
            "Client id of a user-assigned managed identity; without it AZURE_CLIENT_ID, else the system-assigned one.",
            env="GRAPHKIT_MANAGED_IDENTITY_CLIENT_ID",
        ),
    )
    identity_endpoint: str = field(
        default="",
        metadata=_about(
            "Set by Azure where a managed identity is on offer; auto goes by it. Not to be set by hand.",
            env="IDENTITY_ENDPOINT MSI_ENDPOINT",
            key="",
        ),
    )
    access_token: str = field(
        default="",
        repr=False,
        metadata=_about(
            "A ready bearer token. Used as it is, never stored, never renewed.", env="GRAPHKIT_ACCESS_TOKEN", key=""
        ),
    )
    identities: tuple[Identity, ...] = field(
        default=(),
        metadata=_about(
            "Several app registrations side by side, each with a write quota of its own, in place of the one above: "
            "tables of client_id and one of certificate_path, federated_token_file, client_secret_variable.",
            key="identities",
            read=_identities,
        ),
    )
    break_glass: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Accounts or groups (UPN, name of a group, or id; commas between) that no policy may ever lock out.",
            env="GRAPHKIT_BREAK_GLASS",
            key="safety.break_glass",
            read=_list,
        ),
    )
    drift: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict,
        metadata=_about(
            'What graphkit drift compares when no input is given: recipe = files, such as "licenses.pools" = '
            '["pools.yaml"].',
            key="drift",
            read=_watched,
        ),
    )
    protected: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Accounts that no run disables, deletes, or takes licences or memberships from: UPN or id, * for any "
            "characters; commas between. Break-glass accounts and holders of directory roles are protected anyway.",
            env="GRAPHKIT_PROTECTED",
            key="safety.protected",
            read=_list,
        ),
    )
    take_over: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Permissions with which a tenant can be taken over that the identity may nevertheless hold "
            "(RoleManagement.ReadWrite.Directory ...; commas between). Any other of them stops a run.",
            env="GRAPHKIT_TAKE_OVER",
            key="safety.take_over",
            read=_list,
        ),
    )
    quota_share: float = field(
        default=0.7,
        metadata=_about(
            "Part of each published quota to use, above 0 and up to 1; the rest is left to the tenant's other apps.",
            env="GRAPHKIT_QUOTA_SHARE",
            read=_share,
        ),
    )
    limits: Mapping[str, float] = field(
        default_factory=dict,
        metadata=_about(
            "Quota figures of your own by bucket name, in the bucket's own units; and time_scale = N, which makes "
            "every wait N times shorter, for loopback targets only (a test server whose quota clock runs as fast).",
            key="limits",
            read=_limits,
        ),
    )
    wire: Literal["httpcore", "aiohttp"] = field(
        default="httpcore",
        metadata=_about(
            "What carries requests: httpcore, or aiohttp (the extra fast), which takes half the CPU.",
            env="GRAPHKIT_WIRE",
            read=_one_of("httpcore", "aiohttp"),
        ),
    )
    connect_timeout: float = field(
        default=10.0,
        metadata=_about("Seconds to wait for a connection.", env="GRAPHKIT_CONNECT_TIMEOUT", read=_seconds),
    )
    read_timeout: float = field(
        default=100.0,
        metadata=_about(
            "Seconds to wait for the next part of an answer. Long: a full $batch can take over a minute.",
            env="GRAPHKIT_READ_TIMEOUT",
            read=_seconds,
        ),
    )
    write_timeout: float = field(
        default=30.0, metadata=_about("Seconds to wait while sending.", env="GRAPHKIT_WRITE_TIMEOUT", read=_seconds)
    )
    pool_timeout: float = field(
        default=60.0,
        metadata=_about("Seconds to wait for a free connection.", env="GRAPHKIT_POOL_TIMEOUT", read=_seconds),
    )
    orgs_file: Path | None = field(
        default=None,
        metadata=_about(
            "The registry of organisations that all recipes share: a CSV file "
            "(code, name, domain, attribute, caps, status).",
            env="GRAPHKIT_ORGS",
            key="orgs.file",
            read=_path,
        ),
    )
    runs_dir: Path = field(
        default_factory=_folder("state"),
        metadata=_about(
            "Where plans and runs are kept. Run files hold personal data: a private folder, never a synchronised one. "
            "Default: graphkit/runs in the platform's state folder.",
            env="GRAPHKIT_RUNS_DIR",
            read=_path,
        ),
    )
    cache_dir: Path = field(
        default_factory=_folder("cache"),
        metadata=_about(
            "Where sign-ins and what was read of a tenant are kept; may be deleted at any time. "
            "Default: graphkit in the platform's cache folder.",
            env="GRAPHKIT_CACHE_DIR",
            read=_path,
        ),
    )
    ca_bundle: str = field(
        default="",
        metadata=_about(
            "PEM file of the authorities to trust, for Graph and login alike; empty means the default store.",
            env="GRAPHKIT_CA_BUNDLE SSL_CERT_FILE REQUESTS_CA_BUNDLE",
            read=_path_text,
        ),
    )
    https_proxy: str = field(
        default="",
        repr=False,
        metadata=_about(
            "Proxy for https addresses; may hold a password. Never used for loopback or managed identity addresses.",
            env="HTTPS_PROXY https_proxy",
            key="",
            read=_proxy,
        ),
    )
    no_proxy: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Hosts and domains, commas between, to reach without the proxy.", env="NO_PROXY no_proxy", read=_list
        ),
    )
    record: Path | None = field(
        default=None,
        metadata=_about(
            "Record the conversation with the target in this file, in pseudonyms; it must not exist yet.",
            env="GRAPHKIT_RECORD",
            key="",
            read=_path,
        ),
    )
    record_rules: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "What a recording does with fields of your own: FIELD=KIND with commas between, * allowed in FIELD; "
            "KIND is keep, remove, text, phone or date.",
            env="GRAPHKIT_RECORD_RULES",
            read=_list,
        ),
    )
    functions_recipes: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Recipes that the Azure Functions app may run, commas between; empty means none. Functions only, as the "
            "next ones.",
            env="GRAPHKIT_FUNCTIONS_RECIPES",
            key="functions.recipes",
            read=_list,
        ),
    )
    functions_apply: bool = field(
        default=False,
        metadata=_about(
            "Whether approved runs are applied. Otherwise every run stops at its plan.",
            env="GRAPHKIT_FUNCTIONS_APPLY",
            key="",
            read=_switch,
        ),
    )
    functions_local_runs: bool = field(
        default=False,
        metadata=_about(
            "Accept a runs folder that is not on a mounted share: for development, or a single machine that stays.",
            env="GRAPHKIT_FUNCTIONS_LOCAL_RUNS",
            key="functions.local_runs",
            read=_switch,
        ),
    )
    functions_timeout: float = field(
        default=1800.0,
        metadata=_about(
            "The host's time-out, hh:mm:ss or seconds; a slice of a run ends a minute before. The host's own variable, "
            "which overrules host.json.",
            env="AzureFunctionsJobHost__functionTimeout",
            key="functions.timeout",
            read=_time_span,
        ),
    )
    functions_drift_dir: Path | None = field(
        default=None,
        metadata=_about(
            "Folder with a subfolder per recipe, named like it, whose files say what should be; the timer compares.",
            env="GRAPHKIT_FUNCTIONS_DRIFT_DIR",
            key="functions.drift_dir",
            read=_path,
        ),
    )
    functions_drift_schedule: str = field(
        default="0 0 2 * * *",
        metadata=_about(
            "When the timer fires: second minute hour day month weekday, UTC. Drift is looked for once a day at most.",
            env="GRAPHKIT_FUNCTIONS_DRIFT_SCHEDULE",
            key="functions.drift_schedule",
            read=_schedule,
        ),
    )
    functions_drift_enforce: bool = field(
        default=False,
        metadata=_about(
            "Whether what the timer finds is approved at once, within the same rails.",
            env="GRAPHKIT_FUNCTIONS_DRIFT_ENFORCE",
            key="",
            read=_switch,
        ),
    )
    functions_queues: str = field(
        default="",
        metadata=_about(
            "Address of the queue service, reached with the managed identity. The host's own variable.",
            env="AzureWebJobsStorage__queueServiceUri",
            key="functions.queues",
            read=_queues,
        ),
    )
    functions_storage: str = field(
        default="",
        repr=False,
        metadata=_about(
            "Connection string of the host's storage, for the emulator; in Azure the address above takes its place.",
            env="AzureWebJobsStorage",
            key="",
        ),
    )
    functions_sign_in: bool = field(
        default=False,
        metadata=_about(
            "Set by Azure where App Service authentication is on: then every caller needs an app role. Not to be set "
            "by hand.",
            env="WEBSITE_AUTH_ENABLED",
            key="",
            read=_switch,
        ),
    )
    log_level: str = field(
        default="warning",
        metadata=_about(
            f"Least severity to log: {', '.join(LOG_LEVELS)}. info shows each request, without bodies.",
            env="GRAPHKIT_LOG_LEVEL",
            read=_one_of(*LOG_LEVELS),
        ),
    )
    log_format: str = field(
        default="text",
        metadata=_about(
            "text for people, json for collectors: one object a line.",
            env="GRAPHKIT_LOG_FORMAT",
            read=_one_of(*LOG_FORMATS),
        ),
    )
    log_file: Path | None = field(
        default=None,
        metadata=_about("Log to this file instead of standard error.", env="GRAPHKIT_LOG_FILE", read=_path),
    )
    no_color: bool = field(
        default=False,
        metadata=_about("Any value turns colours off (https://no-color.org).", env="NO_COLOR", read=_presence),
    )
    target: Target = field(default=Target("cloud", "global"))
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def origin(self, name: str) -> str:
        """Where a value came from: ``environment GRAPHKIT_CLOUD``, ``graphkit.toml cloud``, ``default`` ..."""
        return self.origins.get(name, "default")

    @property
    def time_scale(self) -> float:
        """How many times faster than the wall the clock runs; 1 except for loopback targets."""
        return self.limits.get("time_scale", 1.0)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value that is set, to be masked wherever it turns up."""
        own = (getattr(self, item.name) for item in fields(self) if not item.repr)
        return tuple(value for value in (*own, *(item.client_secret for item in self.identities)) if value)

    def ssl_context(self) -> ssl.SSLContext:
        """What Graph and the login libraries trust: ``ca_bundle``, else the system's store.

        Raises ``UsageError`` if the bundle cannot be used.
        """
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.ca_bundle or None)
        except OSError as error:  # SSLError is one
            raise UsageError(
                f"the CA bundle {self.ca_bundle} ({self.origin('ca_bundle')}) cannot be used: {error}",
                hint="name a PEM file with the certificates of the authorities to trust",
            ) from error
        system = ssl.get_default_verify_paths()
        if not self.ca_bundle and os.name == "posix" and not (system.cafile or system.capath):
            import certifi  # some Python builds know of no store at all

            context.load_verify_locations(certifi.where())
        return context

    def proxy_for(self, host: str) -> str:
        """The proxy for https requests to ``host``, or an empty string for none."""
        name = host.lower().strip("[]")
        # The managed identity addresses of virtual machines, Azure Arc and App Service are link-local or loopback
        # (learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token).
        if name in ("localhost", "::1") or name.startswith(("127.", "169.254.")):
            return ""
        suffixes = [entry.lower().lstrip("*").lstrip(".") for entry in self.no_proxy]
        bypassed = any(suffix == "" or name == suffix or name.endswith(f".{suffix}") for suffix in suffixes)
        return "" if bypassed else self.https_proxy


SETTINGS: tuple[Setting, ...] = tuple(
    Setting(
        name=item.name,
        doc=item.metadata["doc"],
        env=item.metadata["env"],
        key=item.name if item.metadata["key"] == "=" else item.metadata["key"],
        secret=not item.repr,
        read=item.metadata["read"],
    )
    for item in fields(Settings)
    if item.metadata
)
"""All settings in the order of the manual; ``target`` is not among them, being worked out from others."""

_TARGET_FLAGS = ("target", "state", "virtual_time")


@dataclass(frozen=True, slots=True)
class _Source:
    """One place that settings come from, and how a setting is spelt there."""

    label: str
    values: Mapping[str, object]
    spell: Callable[[Setting], tuple[str, ...]]
    base: Path

    def find(self, setting: Setting) -> tuple[str, object] | None:
        for name in self.spell(setting):
            value = self.values.get(name)
            if value is not None and value != "":
                return f"{self.label} {name}", value
        return None


def load(flags: Mapping[str, Any], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """Resolve all settings.

    ``flags`` maps field names, and ``config``, ``target``, ``state``, ``virtual_time``, to what the command line gave;
    ``None`` means not given. Raises ``UsageError`` with one line per problem.
    """
    problems: list[str] = []
    sources = list(_sources(flags, os.environ if env is None else env, cwd or Path.cwd(), problems))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        found = next((hit for source in sources if (hit := _read(setting, source, problems))), None)
        if found:
            origins[setting.name], values[setting.name] = found
    _resolve_secrets(values, sources, cwd or Path.cwd(), problems)
    _resolve_target(flags, cwd or Path.cwd(), values, origins, problems)
    if problems:
        _refuse(problems)
    return Settings(**values, origins=origins)


def _resolve_secrets(values: dict[str, Any], sources: Iterable[_Source], cwd: Path, problems: list[str]) -> None:
    """Give each of the identities the secret whose variable it names, from the environment, else from ``.env``."""
    found: list[Identity] = []
    for item in values.get("identities") or ():
        name = item.client_secret_variable
        places = [source for source in sources if source.label in ("environment", ".env") and source.values.get(name)]
        if name and not places:
            problems.append(f"identities {item.client_id}: {name} is not set, neither in the environment nor in .env")
        elif name:
            if places[0].label == ".env":
                _refuse_shared(cwd / ".env", [name], problems)
            item = replace(item, client_secret=str(places[0].values[name]))
        found.append(item)
    if found:
        values["identities"] = tuple(found)


def _refuse(problems: list[str]) -> None:
    count = len(problems)
    heading = "a setting is wrong" if count == 1 else f"{count} settings are wrong"
    raise UsageError("\n  ".join([f"{heading}:", *problems]), hint="docs/settings.md lists every setting")


def _read(setting: Setting, source: _Source, problems: list[str]) -> tuple[str, Any] | None:
    hit = source.find(setting)
    if hit is None:
        return None
    origin, raw = hit
    try:
        return origin, setting.read(raw, source.base)
    except ValueError as error:
        problems.append(f"{origin}: {error}")
        return origin, None


def _sources(flags: Mapping[str, Any], env: Mapping[str, str], cwd: Path, problems: list[str]) -> Iterator[_Source]:
    known = {setting.name for setting in SETTINGS} | {"config", *_TARGET_FLAGS}
    problems += [f"flag {name}: no such setting" for name in flags if name not in known]
    given = {"--" + name.replace("_", "-"): value for name, value in flags.items()}
    yield _Source("flag", given, lambda setting: (setting.flag,), cwd)
    yield _Source("environment", env, lambda setting: setting.env, cwd)
    yield _Source(".env", _read_dotenv(cwd / ".env", problems), lambda setting: setting.env, cwd)
    for label, path in _config_files(flags.get("config"), cwd, problems):
        yield _Source(label, _read_toml(label, path, problems), lambda setting: (setting.key,), path.parent)


def config_paths(chosen: object = None, cwd: Path | None = None) -> tuple[Path, Path]:
    """The folder's file (or the one ``chosen`` with ``--config``) and the user's own; the first goes before."""
    folder = cwd or Path.cwd()
    own = _path(chosen, folder) if chosen else folder / "graphkit.toml"
    return own, _folder("config")() / "config.toml"


def completion_asked(env: Mapping[str, str] | None = None) -> str:
    """What a shell's completion script asks for (``bash_complete`` ...); empty in any ordinary call."""
    return (os.environ if env is None else env).get("_GRAPHKIT_COMPLETE", "")


def _config_files(chosen: object, cwd: Path, problems: list[str]) -> Iterator[tuple[str, Path]]:
    path, users = config_paths(chosen, cwd)
    if chosen and not path.is_file():
        problems.append(f"flag --config: no file {chosen}")
    yield path.name, path
    yield "user config", users


# --- files ---

_DOTENV_LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*
        (?: '(?P<single>[^']*)' | "(?P<double>[^"]*)" | (?P<bare>[^'"\s\#][^\n]*?)? )
        \s*(?:(?<=\s)\#.*)?""",
    re.VERBOSE,
)


def parse_dotenv(text: str) -> tuple[dict[str, str], list[int]]:
    """``NAME=value`` lines as a mapping, and the numbers of the lines that are none.

    Quotes of either kind are taken off, ``export`` is allowed, ``#`` begins a comment at the start of a line or
    after a space. Nothing is expanded: a secret with ``$`` in it stays what it is.
    """
    values: dict[str, str] = {}
    wrong: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _DOTENV_LINE.fullmatch(line)
        if match:
            values[match["name"]] = match["single"] or match["double"] or match["bare"] or ""
        else:
            wrong.append(number)
    return values, wrong


def _read_dotenv(path: Path, problems: list[str]) -> dict[str, str]:
    try:
        values, wrong = parse_dotenv(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f".env: cannot be read ({type(error).__name__})")
        return {}
    problems += [f".env line {number}: not of the form NAME=value" for number in wrong]
    ours = {name for setting in SETTINGS for name in setting.env}
    problems += [
        f".env {name}: no such setting" for name in values if name.startswith("GRAPHKIT_") and name not in ours
    ]
    secrets = [name for setting in SETTINGS if setting.secret for name in setting.env if values.get(name)]
    _refuse_shared(path, secrets, problems)
    return values


def _refuse_shared(path: Path, secrets: list[str], problems: list[str]) -> None:
    mode = path.stat().st_mode & 0o777
    if secrets and os.name == "posix" and mode & 0o077:
        problems.append(
            f".env: holds {', '.join(secrets)} and others on this machine may read it (mode {mode:04o}); "
            "make it private: chmod 600 .env"
        )


def _read_toml(label: str, path: Path, problems: list[str]) -> dict[str, object]:
    """The file as dotted keys, leaving out what was refused."""
    import tomllib

    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        problems.append(f"{label}: {error if isinstance(error, tomllib.TOMLDecodeError) else type(error).__name__}")
        return {}
    keys = {setting.key for setting in SETTINGS if setting.key}
    secrets = {setting.name: setting.env[0] for setting in SETTINGS if setting.secret}
    values = dict(_flatten(document, keys))
    for key in [key for key in values if key not in keys]:
        del values[key]
        why = (
            f"does not belong here; put {secrets[key]} into the environment or a private .env"
            if key in secrets
            else "no such setting"
        )
        problems.append(f"{label} {key}: {why}")
    return values


def _flatten(table: Mapping[str, object], keys: set[str], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, dict) and key not in keys:
            yield from _flatten(value, keys, f"{key}.")
        else:
            yield key, value


# --- the target ---


def parse_target(text: str, base: Path = Path()) -> Target:
    """A cloud's name, ``simulated``, a loopback address, or ``replay:FILE`` (relative to ``base``) as a target.

    Raises ``ValueError``.
    """
    name = text.strip()
    if name.lower().startswith(REPLAY) and len(name) > len(REPLAY):
        path = _path(name[len(REPLAY) :], base.resolve())
        return Target("replay", f"{REPLAY}{path}", virtual_time=True)
    if name.lower() in CLOUD_NAMES:
        return Target("cloud", name.lower())
    if name.lower() == "simulated":
        return Target("simulated", "simulated")
    if "://" in name:
        return Target("loopback", loopback_url(name))
    raise ValueError(f"'{name}' is neither {', '.join(CLOUD_NAMES)}, simulated, replay:FILE, nor a loopback address")


def _resolve_target(
    flags: Mapping[str, Any], cwd: Path, values: dict[str, Any], origins: dict[str, str], problems: list[str]
) -> None:
    """``--target``, else GRAPHKIT_GRAPH_URL, else the cloud. ``cloud`` and ``graph_url`` then agree with it."""
    asked = next((name for name in ("graph_url", "cloud") if values.get(name)), "")
    target = Target("cloud", "global")
    try:
        if flags.get("target"):
            target = parse_target(str(flags["target"]), cwd)
            origins["target"] = "flag --target"
        elif asked:
            target = parse_target(values[asked])
            origins["target"] = origins[asked]
    except ValueError as error:
        problems.append(f"flag --target: {error}")
    simulated_only = [f"--{name.replace('_', '-')}" for name in ("state", "virtual_time") if flags.get(name)]
    if simulated_only and target.kind != "simulated":
        problems.append(f"flag {' and '.join(simulated_only)}: only for --target simulated")
    # In process the simulated tenant has a clock of its own, which the folder's setting leaves alone.
    if target.kind == "replay" and values.get("record"):
        problems.append(f"{origins['record']}: a replay is not recorded: it is a recording")
    if "time_scale" in (values.get("limits") or {}) and target.kind == "cloud":
        problems.append(f"{origins['limits']}: time_scale is only for loopback targets; this target is {target}")
    state = _path(flags["state"], cwd) if flags.get("state") else None
    values["target"] = Target(target.kind, target.name, state, target.virtual_time or bool(flags.get("virtual_time")))
    values["graph_url"] = target.url
    if target.kind == "cloud":
        values["cloud"] = target.name
