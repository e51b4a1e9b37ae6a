"""The record of all settings: what each is called outside, what it means, and how it is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graphkit.errors import UsageError
from graphkit.settings import readers
from graphkit.settings.identities import Identity, as_identities
from graphkit.settings.target import CLOUD_NAMES, Target

if TYPE_CHECKING:
    import ssl

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
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")


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


def _about(
    doc: str, *, env: str = "", key: str = "=", read: Callable[[object, Path], Any] = readers.as_text
) -> dict[str, Any]:
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
            read=readers.one_of(*CLOUD_NAMES),
        ),
    )
    graph_url: str = field(
        default="",
        metadata=_about(
            "Root, without version, of a test server that speaks Graph. Loopback only, so that no setting can lead "
            "credentials elsewhere; goes before the cloud.",
            env="GRAPHKIT_GRAPH_URL",
            read=readers.loopback_url,
        ),
    )
    authority_url: str = field(
        default="",
        metadata=_about(
            "Login address of a test server, for loopback targets only. Itself loopback, and https, as the login "
            "libraries insist.",
            env="GRAPHKIT_AUTHORITY_URL",
            read=readers.loopback_https,
        ),
    )
    auth: str = field(
        default="auto",
        metadata=_about(
            f"How to authenticate: {', '.join(AUTH_METHODS)}. auto takes the first that is configured and never "
            "the Azure CLI, which may be signed in elsewhere.",
            env="GRAPHKIT_AUTH",
            read=readers.one_of(*AUTH_METHODS),
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
            read=readers.as_path_text,
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
            read=readers.as_path_text,
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
            read=as_identities,
        ),
    )
    break_glass: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Accounts or groups (UPN, name of a group, or id; commas between) that no policy may ever lock out.",
            env="GRAPHKIT_BREAK_GLASS",
            key="safety.break_glass",
            read=readers.as_texts,
        ),
    )
    drift: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict,
        metadata=_about(
            'What graphkit drift compares when no input is given: recipe = files, such as "licenses.pools" = '
            '["pools.yaml"].',
            key="drift",
            read=readers.as_watched,
        ),
    )
    protected: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Accounts that no run disables, deletes, or takes licences or memberships from: UPN or id, * for any "
            "characters; commas between. Break-glass accounts and holders of directory roles are protected anyway.",
            env="GRAPHKIT_PROTECTED",
            key="safety.protected",
            read=readers.as_texts,
        ),
    )
    take_over: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Permissions with which a tenant can be taken over that the identity may nevertheless hold "
            "(RoleManagement.ReadWrite.Directory ...; commas between). Any other of them stops a run.",
            env="GRAPHKIT_TAKE_OVER",
            key="safety.take_over",
            read=readers.as_texts,
        ),
    )
    quota_share: float = field(
        default=0.7,
        metadata=_about(
            "Part of each published quota to use, above 0 and up to 1; the rest is left to the tenant's other apps.",
            env="GRAPHKIT_QUOTA_SHARE",
            read=readers.as_share,
        ),
    )
    limits: Mapping[str, float] = field(
        default_factory=dict,
        metadata=_about(
            "Quota figures of your own by bucket name, in the bucket's own units; and time_scale = N, which makes "
            "every wait N times shorter, for loopback targets only (a test server whose quota clock runs as fast).",
            key="limits",
            read=readers.as_limits,
        ),
    )
    wire: Literal["httpcore", "aiohttp"] = field(
        default="httpcore",
        metadata=_about(
            "What carries requests: httpcore, or aiohttp (the extra fast), which takes less CPU.",
            env="GRAPHKIT_WIRE",
            read=readers.one_of("httpcore", "aiohttp"),
        ),
    )
    connect_timeout: float = field(
        default=10.0,
        metadata=_about("Seconds to wait for a connection.", env="GRAPHKIT_CONNECT_TIMEOUT", read=readers.as_seconds),
    )
    read_timeout: float = field(
        default=100.0,
        metadata=_about(
            "Seconds to wait for the next part of an answer. Long: a full $batch can take over a minute.",
            env="GRAPHKIT_READ_TIMEOUT",
            read=readers.as_seconds,
        ),
    )
    write_timeout: float = field(
        default=30.0,
        metadata=_about("Seconds to wait while sending.", env="GRAPHKIT_WRITE_TIMEOUT", read=readers.as_seconds),
    )
    pool_timeout: float = field(
        default=60.0,
        metadata=_about("Seconds to wait for a free connection.", env="GRAPHKIT_POOL_TIMEOUT", read=readers.as_seconds),
    )
    orgs_file: Path | None = field(
        default=None,
        metadata=_about(
            "The registry of organisations that all recipes share: a CSV file "
            "(code, name, domain, attribute, caps, status).",
            env="GRAPHKIT_ORGS",
            key="orgs.file",
            read=readers.as_path,
        ),
    )
    runs_dir: Path = field(
        default_factory=readers.folder("state"),
        metadata=_about(
            "Where plans and runs are kept. Run files hold personal data: a private folder, never a synchronised one. "
            "Default: graphkit/runs in the platform's state folder.",
            env="GRAPHKIT_RUNS_DIR",
            read=readers.as_path,
        ),
    )
    cache_dir: Path = field(
        default_factory=readers.folder("cache"),
        metadata=_about(
            "Where sign-ins and what was read of a tenant are kept; may be deleted at any time. "
            "Default: graphkit in the platform's cache folder.",
            env="GRAPHKIT_CACHE_DIR",
            read=readers.as_path,
        ),
    )
    ca_bundle: str = field(
        default="",
        metadata=_about(
            "PEM file of the authorities to trust, for Graph and login alike; empty means the default store.",
            env="GRAPHKIT_CA_BUNDLE SSL_CERT_FILE REQUESTS_CA_BUNDLE",
            read=readers.as_path_text,
        ),
    )
    https_proxy: str = field(
        default="",
        repr=False,
        metadata=_about(
            "Proxy for https addresses; may hold a password. Never used for loopback or managed identity addresses.",
            env="HTTPS_PROXY https_proxy",
            key="",
            read=readers.as_proxy,
        ),
    )
    no_proxy: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Hosts and domains, commas between, to reach without the proxy.",
            env="NO_PROXY no_proxy",
            read=readers.as_texts,
        ),
    )
    record: Path | None = field(
        default=None,
        metadata=_about(
            "Record the conversation with the target in this file, in pseudonyms; it must not exist yet.",
            env="GRAPHKIT_RECORD",
            key="",
            read=readers.as_path,
        ),
    )
    record_rules: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "What a recording does with fields of your own: FIELD=KIND with commas between, * allowed in FIELD; "
            "KIND is keep, remove, text, phone or date.",
            env="GRAPHKIT_RECORD_RULES",
            read=readers.as_texts,
        ),
    )
    functions_recipes: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Recipes that the Azure Functions app may run, commas between; empty means none. Functions only, as the "
            "next ones.",
            env="GRAPHKIT_FUNCTIONS_RECIPES",
            key="functions.recipes",
            read=readers.as_texts,
        ),
    )
    functions_apply: bool = field(
        default=False,
        metadata=_about(
            "Whether approved runs are applied. Otherwise every run stops at its plan.",
            env="GRAPHKIT_FUNCTIONS_APPLY",
            key="",
            read=readers.as_switch,
        ),
    )
    functions_local_runs: bool = field(
        default=False,
        metadata=_about(
            "Accept a runs folder that is not on a mounted share: for development, or a single machine that stays.",
            env="GRAPHKIT_FUNCTIONS_LOCAL_RUNS",
            key="functions.local_runs",
            read=readers.as_switch,
        ),
    )
    functions_timeout: float = field(
        default=1800.0,
        metadata=_about(
            "The host's time-out, hh:mm:ss or seconds; a slice of a run ends a minute before. The host's own variable, "
            "which overrules host.json.",
            env="AzureFunctionsJobHost__functionTimeout",
            key="functions.timeout",
            read=readers.as_time_span,
        ),
    )
    functions_drift_dir: Path | None = field(
        default=None,
        metadata=_about(
            "Folder with a subfolder per recipe, named like it, whose files say what should be; the timer compares.",
            env="GRAPHKIT_FUNCTIONS_DRIFT_DIR",
            key="functions.drift_dir",
            read=readers.as_path,
        ),
    )
    functions_drift_schedule: str = field(
        default="0 0 2 * * *",
        metadata=_about(
            "When the timer fires: second minute hour day month weekday, UTC. Drift is looked for once a day at most.",
            env="GRAPHKIT_FUNCTIONS_DRIFT_SCHEDULE",
            key="functions.drift_schedule",
            read=readers.as_schedule,
        ),
    )
    functions_drift_enforce: bool = field(
        default=False,
        metadata=_about(
            "Whether what the timer finds is approved at once, within the same rails.",
            env="GRAPHKIT_FUNCTIONS_DRIFT_ENFORCE",
            key="",
            read=readers.as_switch,
        ),
    )
    functions_queues: str = field(
        default="",
        metadata=_about(
            "Address of the queue service, reached with the managed identity. The host's own variable.",
            env="AzureWebJobsStorage__queueServiceUri",
            key="functions.queues",
            read=readers.as_queues,
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
            read=readers.as_switch,
        ),
    )
    log_level: str = field(
        default="warning",
        metadata=_about(
            f"Least severity to log: {', '.join(LOG_LEVELS)}. info shows each request, without bodies.",
            env="GRAPHKIT_LOG_LEVEL",
            read=readers.one_of(*LOG_LEVELS),
        ),
    )
    log_format: str = field(
        default="text",
        metadata=_about(
            "text for people, json for collectors: one object a line.",
            env="GRAPHKIT_LOG_FORMAT",
            read=readers.one_of(*LOG_FORMATS),
        ),
    )
    log_file: Path | None = field(
        default=None,
        metadata=_about("Log to this file instead of standard error.", env="GRAPHKIT_LOG_FILE", read=readers.as_path),
    )
    no_color: bool = field(
        default=False,
        metadata=_about(
            "Any value turns colours off (https://no-color.org).", env="NO_COLOR", read=readers.as_presence
        ),
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
        """The proxy for requests to ``host``, a port behind it or not; an empty string for none."""
        from urllib.parse import urlsplit

        # Without brackets an IPv6 address is all colons, and none of them stands before a port.
        name = (urlsplit(f"//{host}").hostname or host).lower()
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
