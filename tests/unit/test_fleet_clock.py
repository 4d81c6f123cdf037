"""The fleet's clock on a host whose own is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest

from common.bus.fleet_clock import WINDOW_S, FleetClock

LATENCY_S = 0.05


@dataclass
class World:
    """Real time, and a host whose wall clock is off by some seconds."""

    off_s: float = 0.0
    now_s: float = 1_700_000_000.0
    clock: FleetClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = FleetClock(
            at_main_host=False, wall=lambda: self.now_s + self.off_s, monotonic=lambda: self.now_s
        )

    def beats(self, count: int, latency_s: float = LATENCY_S) -> None:
        """A beat each second, each of them late."""
        for _ in range(count):
            self.now_s += 1
            self.clock.hear(self.now_s - latency_s)

    @property
    def error_s(self) -> float:
        return self.clock.deadline(0) - self.now_s


def test_the_main_host_has_its_own_clock() -> None:
    clock = FleetClock(at_main_host=True, wall=lambda: 100.0)
    clock.hear(1_000_000.0)
    assert clock.deadline(5) == 105.0
    assert clock.has_passed(99.9)
    assert not clock.has_passed(100.1)


def test_before_the_first_beat_nothing_is_judged() -> None:
    clock = World(off_s=1e9).clock
    assert clock.deadline(5) == math.inf
    assert not clock.has_passed(0.0)


@pytest.mark.parametrize("off_s", [0.0, 3600.0, -3600.0])
def test_a_wrong_clock_is_made_up_for(off_s: float) -> None:
    world = World(off_s)
    world.beats(1)
    assert world.error_s == pytest.approx(-LATENCY_S, abs=1e-3)
    assert world.clock.has_passed(world.now_s - 1)
    assert not world.clock.has_passed(world.now_s + 1)


def test_a_late_beat_changes_nothing() -> None:
    world = World(3600.0)
    world.beats(4)
    world.beats(1, latency_s=2.0)
    assert world.error_s == pytest.approx(-LATENCY_S, abs=1e-3)


@pytest.mark.parametrize("stop_s", [2, 60, 3600])
def test_the_queue_of_beats_after_a_long_stop_makes_no_old_request_young(stop_s: int) -> None:
    world = World()
    world.beats(7)
    before_s = world.now_s
    world.now_s += stop_s
    for second in range(stop_s):
        world.clock.hear(before_s + second)
        assert world.clock.has_passed(world.now_s - 1)
    world.beats(20)
    assert world.error_s == pytest.approx(-LATENCY_S, abs=1e-3)


@pytest.mark.parametrize("step_s", [30.0, -30.0])
def test_a_clock_that_is_set_is_followed_within_two_windows(step_s: float) -> None:
    world = World()
    world.beats(7)
    world.off_s += step_s
    world.beats(int(2 * WINDOW_S) + 1)
    assert world.error_s == pytest.approx(-LATENCY_S, abs=1e-3)
