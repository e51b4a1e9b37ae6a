"""Filters that narrow an assignment to some devices, beta only.

api-reference/beta/api/intune-policyset-deviceandappmanagementassignmentfilter-*.md. Which devices a rule picks is not
worked out; a rule must only look like one.
"""

from __future__ import annotations

import re

from graphkit.sandbox.areas.intune_assignments import uses_of_filter
from graphkit.sandbox.areas.intune_policies import Collection, Policies
from graphkit.sandbox.areas.intune_words import refuse
from graphkit.sandbox.call import Call, Json

# learn.microsoft.com/intune/intune-service/fundamentals/filters-device-properties
_CLAUSE = re.compile(
    r"\(*\s*(device|app)\.\w+\s+-?(eq|ne|in|notIn|startsWith|notStartsWith|contains|notContains|gt|ge|lt|le)\s+"
    r"(\"\"|\[[^\]]*\]|true|false|null)\s*\)*",
    re.IGNORECASE,
)


def _rules(call: Call, item: Json, before: Json | None) -> Json:
    rule = re.sub(r'"[^"]*"', '""', item["rule"].strip())
    clauses = re.split(r"\s+(?:and|or)\s+", rule, flags=re.IGNORECASE)
    balanced = rule.count("(") == rule.count(")")
    if not balanced or not all(_CLAUSE.fullmatch(clause.strip()) for clause in clauses):
        raise refuse(call)
    if before and before["platform"] != item["platform"]:
        raise refuse(call)
    kind = item.get("assignmentFilterManagementType")
    return {**item, "assignmentFilterManagementType": kind or "devices", "payloads": []}


def _check_unused(call: Call, item: Json) -> None:
    """Not while a policy is assigned with it: learn.microsoft.com/intune/intune-service/fundamentals/filters."""
    if uses_of_filter(call, item["id"]):
        raise refuse(call)


FILTERS = Policies(
    Collection(
        "/deviceManagement/assignmentFilters",
        "deviceAndAppManagementAssignmentFilter",
        "intune-policyset-deviceandappmanagementassignmentfilter",
        beta_only=True,
        tags="roleScopeTags",
        rule=_rules,
        before_delete=_check_unused,
    )
)
routes = FILTERS.routes()
