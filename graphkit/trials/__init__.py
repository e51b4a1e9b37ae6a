"""The tests that every recipe gets for nothing: what must hold of any of them, on the simulated tenant.

``graphkit recipe test NAME`` runs them on the recipe's starter file or on a given input; :func:`run_trials` is what a
test of one's own calls. Each trial begins with a tenant of its own, in a file; time jumps, nothing is waited for.
"""

from __future__ import annotations

from graphkit.trials.rounds import Trial as Trial
from graphkit.trials.rounds import run_trials as run_trials
from graphkit.trials.world import Subject as Subject
from graphkit.trials.world import World as World
from graphkit.trials.world import scratch as scratch
