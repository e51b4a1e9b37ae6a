"""What every door calls: validate, plan, apply, resume, undo."""

from __future__ import annotations

from graphkit.engine.brake import Brake as Brake
from graphkit.jobs.applying import apply as apply
from graphkit.jobs.asked import Asked as Asked
from graphkit.jobs.manner import Limits as Limits
from graphkit.jobs.manner import Manner as Manner
from graphkit.jobs.manner import check_limits as check_limits
from graphkit.jobs.planning import plan as plan
from graphkit.jobs.planning import validate as validate
from graphkit.jobs.summary import Summary as Summary
from graphkit.jobs.summary import Validated as Validated
from graphkit.jobs.summary import summarise as summarise
from graphkit.jobs.undoing import undo as undo
