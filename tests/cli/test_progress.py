"""How far a run is, for a person at a terminal and for a log."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from graphkit import clock
from graphkit.cli import progress
from graphkit.cli.invocation import Invocation
from graphkit.engine.apply import Progress
from graphkit.transport.utilisation import Utilisation

WRITES = Utilisation("identity.app_tenant.writes", "directory writes", 0.683, 300, 0.0)
SLOWED = Utilisation("identity.app_tenant.writes", "directory writes", 0.41, 300, 0.0, pace=0.5)
STOPPED = Utilisation("identity.app_tenant.writes", "directory writes", 0.41, 300, 28.0, pace=0.5)


@dataclass
class At:
    """A clock that shows what it is told to."""

    seconds: float = 0.0

    def monotonic(self):
        return self.seconds


@dataclass
class Running:
    """As much of a session as progress looks at."""

    binding: Utilisation | None = None
    clock: At = field(default_factory=At)

    @property
    def chain(self):
        return SimpleNamespace(governor=SimpleNamespace(binding=lambda: self.binding))


@pytest.mark.parametrize(
    ("done", "failed", "seconds", "binding", "line"),
    [
        (0, 0, 0, None, "0 of 6,000 done (0%)"),
        (2000, 0, 100, WRITES,
         "2,000 of 6,000 done (33%), 20/s, limited by: directory writes (68% of the quota), about 3 min 20 s left"),
        (2000, 0, 100, SLOWED,
         "2,000 of 6,000 done (33%), 20/s, limited by: directory writes (41% of the quota, slowed to 50%), "
         "about 3 min 20 s left"),
        (2000, 0, 100, STOPPED,
         "2,000 of 6,000 done (33%), 20/s, limited by: directory writes (stopped by the service for 28 s), "
         "about 3 min 20 s left"),
        (3000, 7, 10, None, "3,000 of 6,000 done (50%), 7 failed, 300/s, about 10 s left"),
        (6000, 0, 10, None, "6,000 of 6,000 done (100%), 600/s"),
    ],
)  # fmt: skip
def test_the_line_says_how_much_how_fast_what_limits_it_and_how_long_still(done, failed, seconds, binding, line):
    running = Running(binding)
    meter = progress.Meter(running)
    meter.update(Progress(done, 6000, failed))
    running.clock.seconds = seconds
    assert meter.line() == line


def test_where_nobody_watches_a_line_is_written_at_every_tenth_and_every_ten_seconds(monkeypatch, capsys):
    wall = At()
    monkeypatch.setattr(progress, "RealClock", lambda: wall)
    meter = progress.Meter(Running())
    plain = progress._Plain(meter)
    for done in range(101):
        meter.update(Progress(done, 100, 0))
        plain.draw(str(done))
    assert capsys.readouterr().err.split() == ["10", "20", "30", "40", "50", "60", "70", "80", "90", "100"]
    for second in range(41):
        wall.seconds = second
        plain.draw(f"at {second}")
    assert capsys.readouterr().err.splitlines() == ["at 10", "at 20", "at 30", "at 40"]


@pytest.mark.parametrize(("given", "drawn"), [({}, True), ({"quiet": True}, False)])
def test_the_line_is_kept_up_to_date_while_the_run_waits_and_quiet_shows_none(monkeypatch, given, drawn):
    lines = []
    monkeypatch.setattr(progress._Plain, "draw", lambda _, line: lines.append(line))

    async def main():
        running = Running()
        running.clock = clock.VirtualClock()
        async with progress.shown(Invocation(given), running) as meter:
            meter.update(Progress(1, 2, 0))
            await running.clock.sleep(60)

    clock.run(main(), virtual=True)
    assert bool(lines) is drawn


def test_on_a_terminal_the_line_is_live_and_gone_at_the_end(simulated, planned):
    result = simulated("apply", planned, "--yes", terminal=True)
    assert result.code == 0
    assert "0 of 0" not in result.stdout
    assert "\x1b[?25h" in result.stderr  # the cursor is back
