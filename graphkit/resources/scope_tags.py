"""Scope tags of Intune, beta only, and the groups whose devices bear them. The default tag is never touched.

https://learn.microsoft.com/graph/api/resources/intune-rbac-rolescopetag.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkit.engine.change import Desired
from graphkit.resources.intune import BY_KIND
from graphkit.resources.intune_policies import IntunePolicies

DEFAULT_ID = "0"


class ScopeTags(IntunePolicies):
    """Known by marker, else by name, like policies."""

    kind = "roleScopeTag"
    endpoint = BY_KIND[kind]

    def _match(self, item: Desired, policies: Sequence[dict[str, Any]]) -> tuple[dict[str, Any] | None, str]:
        found, why = super()._match(item, policies)
        if found and (found.get("isBuiltIn") or str(found["id"]) == DEFAULT_ID):
            return None, f"{found.get('displayName')} is the default scope tag, which is never touched"
        return found, why
