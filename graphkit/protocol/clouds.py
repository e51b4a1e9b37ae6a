"""The clouds of Microsoft 365: a table of records, and the only place that knows a host by name.

Sources: microsoftgraph/microsoft-graph-docs-contrib concepts/deployments.md for roots and authorities.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSIONS = frozenset({"v1.0", "beta"})
"""Of the API, in every cloud."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """One national cloud. Credentials go to ``graph_root`` and ``authority`` and nowhere else.

    ``download_hosts`` are suffixes of the hosts that pre-authenticated report links may point to.
    """

    name: str
    graph_root: str
    authority: str
    download_hosts: tuple[str, ...] = ()

    @property
    def scope(self) -> str:
        """All consented application permissions; app-only tokens know no subset."""
        return f"{self.graph_root}/.default"


CLOUDS: dict[str, Cloud] = {
    cloud.name: cloud
    for cloud in (
        Cloud(
            "global",
            "https://graph.microsoft.com",
            "https://login.microsoftonline.com",
            ("reports.office.com", "blob.core.windows.net"),
        ),
        Cloud(
            "usgov", "https://graph.microsoft.us", "https://login.microsoftonline.us", ("blob.core.usgovcloudapi.net",)
        ),
        Cloud(
            "usgov-dod",
            "https://dod-graph.microsoft.us",
            "https://login.microsoftonline.us",
            ("blob.core.usgovcloudapi.net",),
        ),
        Cloud(
            "china",
            "https://microsoftgraph.chinacloudapi.cn",
            "https://login.chinacloudapi.cn",
            ("blob.core.chinacloudapi.cn",),
        ),
    )
}
