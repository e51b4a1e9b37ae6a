"""What every door calls: validate, plan, apply, resume, undo, drift, report."""

from __future__ import annotations

from graphkit.engine.brake import Brake as Brake
from graphkit.jobs.applying import apply as apply
from graphkit.jobs.asked import Asked as Asked
from graphkit.jobs.drifting import Drift as Drift
from graphkit.jobs.drifting import drift as drift
from graphkit.jobs.exporting import export as export
from graphkit.jobs.handout import check_handout as check_handout
from graphkit.jobs.handout import handed_out as handed_out
from graphkit.jobs.heeded import flag_of as flag_of
from graphkit.jobs.manner import Limits as Limits
from graphkit.jobs.manner import Manner as Manner
from graphkit.jobs.manner import check_limits as check_limits
from graphkit.jobs.planning import plan as plan
from graphkit.jobs.planning import validate as validate
from graphkit.jobs.reporting import report as report
from graphkit.jobs.summary import Summary as Summary
from graphkit.jobs.summary import Validated as Validated
from graphkit.jobs.summary import summarise as summarise
from graphkit.jobs.undoing import undo as undo
