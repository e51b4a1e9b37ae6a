"""Scope tags, beta only: numbered from 1; "0" is the default one, which is there from the beginning and stays.

api-reference/beta/api/intune-rbac-rolescopetag-*.md. What an administrator may see because of tags is not modelled:
applications see everything.
"""

from __future__ import annotations

from graphkit.sandbox.areas.intune_policies import Collection, Policies
from graphkit.sandbox.areas.intune_words import refuse
from graphkit.sandbox.call import Call, Json
from graphkit.sandbox.permissions import INTUNE_ROLES, INTUNE_ROLES_WRITE


def _check_own(call: Call, tag: Json) -> None:
    if tag["isBuiltIn"]:
        raise refuse(call)


def _rules(call: Call, tag: Json, before: Json | None) -> Json:
    if before is not None:
        _check_own(call, before)
    return tag


def _next(call: Call) -> str:
    """Numbers are not given twice, not even after a deletion."""
    return str(len(call.tenant.state.table("roleScopeTags").in_order()))


TAGS = Policies(
    Collection(
        "/deviceManagement/roleScopeTags",
        "roleScopeTag",
        "intune-rbac-rolescopetag",
        assignment="roleScopeTagAutoAssignment",
        beta_only=True,
        read=INTUNE_ROLES,
        write=INTUNE_ROLES_WRITE,
        tags="",
        rule=_rules,
        key=_next,
        before_delete=_check_own,
    )
)
routes = TAGS.routes()
