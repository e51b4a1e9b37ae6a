"""Reports: read the tenant, write nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from typing import Any

from graphkit.engine.resource import Context
from graphkit.engine.snapshot import Snapshot
from graphkit.jobs.asked import Asked
from graphkit.jobs.planning import check_permissions
from graphkit.jobs.summary import FORMAT
from graphkit.recipe import find_report
from graphkit.reports.findings import Findings
from graphkit.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """``facts`` is the object that a report prints as JSON, without its sections; ``findings`` can be read while the
    context lasts."""

    facts: dict[str, Any]
    findings: Findings


@asynccontextmanager
async def report(session: Session, asked: Asked) -> AsyncIterator[Reported]:
    """Build the report ``asked.recipe`` (``reports.`` may be left out). The session's budget stays what it is from the
    start: nothing may be written.

    Raises ``InputErrors`` with everything wrong at once, and what stopped the reading.
    """
    wanted = find_report(asked.recipe)
    warnings = check_permissions(session, wanted)
    problems = asked.problems()
    inputs = replace(asked, orgs_file=asked.orgs_file or session.settings.orgs_file).open(problems)
    problems.raise_if_any()
    with closing(Snapshot()) as snapshot:
        context = Context(session.client, session.clock, snapshot, asked.options, orgs=inputs.orgs)
        findings = await wanted.build(context, inputs)
        problems.raise_if_any()
        facts = {
            "format": FORMAT,
            "report": wanted.name,
            "tenant": session.tenant.to_json(),
            "org": asked.options.org,
            "totals": dict(findings.totals),
            "notes": [*warnings, *problems.warnings, *findings.notes],
        }
        yield Reported(facts=facts, findings=findings)
