"""Which runner takes a model, and who makes room for it. Pure: a snapshot in, a decision out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from common.errors import InvalidRequest

NEED_FACTOR = 1.2
"""A model needs its file's size and a fifth more, for context and buffers."""


def needed_bytes(size_bytes: int) -> int:
    """What a model of this file size is expected to take in memory."""
    return int(size_bytes * NEED_FACTOR)


@dataclass(frozen=True)
class RunnerView:
    """A runner that is present, with the memory of its devices (or RAM) in bytes.

    `problem` says why it has none to give; null where it can start engines.
    """

    name: str
    host: str
    memory_free: int
    memory_total: int
    problem: str | None = None


@dataclass(frozen=True)
class OccupantView:
    """A model that has a place on a runner, from the decision until its engine has ended.

    `loading` ones may not have taken their memory yet; `idle` ones may be evicted; `leaving` ones
    are being drained or stopped. `last_used_at` is in seconds since 1970.
    """

    model_id: str
    runner: str
    state: Literal["loading", "idle", "busy", "leaving"]
    needed_bytes: int
    last_used_at: float = 0.0


@dataclass(frozen=True)
class Wish:
    """A model that shall be loaded. `hosts` are those that have its file. `runner` is the only one
    that may take it, null for any.
    """

    model_id: str
    needed_bytes: int
    hosts: frozenset[str]
    runner: str | None = None


@dataclass(frozen=True)
class FleetView:
    """What a decision is made from."""

    runners: Sequence[RunnerView]
    occupants: Sequence[OccupantView]
    max_models: int


@dataclass(frozen=True)
class Start:
    """There is room: start the model on `runner`."""

    runner: str


@dataclass(frozen=True)
class Evict:
    """Unload these idle models, least recently used first; then there is room on `runner`."""

    runner: str
    model_ids: tuple[str, ...]


@dataclass(frozen=True)
class Wait:
    """No room now. `runner` is where room is being made already, if so."""

    reason: str
    runner: str | None = None


@dataclass(frozen=True)
class Refuse:
    """There can never be room."""

    reason: str


Decision = Start | Evict | Wait | Refuse


def runner_called(name: str, runners: Iterable[RunnerView]) -> str:
    """The whole name of the runner that a caller names: `runner-0@host`, or `runner-0` where no two
    hosts have one. Raises `InvalidRequest` with the names that there are.
    """
    known = [runner.name for runner in runners]
    if name in known:
        return name
    found = [whole for whole in known if whole.partition("@")[0] == name]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} hosts have one" if found else "there is no such runner"
    names = ", ".join(found or known) or "none is present"
    raise InvalidRequest(
        f"runner: {problem} called '{name[:200]}'; the names are: {names}",
        {"runner": name[:200], "known": found or known},
    )


def decide(fleet: FleetView, wish: Wish, promised: Iterable[str] = ()) -> Decision:
    """What to do about `wish`; `promised` runners are having room made for an earlier wish."""
    allowed = [runner for runner in fleet.runners if wish.runner in (None, runner.name)]
    candidates = [runner for runner in allowed if runner.host in wish.hosts]
    if not candidates:
        where = " or ".join(sorted(wish.hosts)) or "any host"
        if wish.runner is None:
            return Wait(f"no runner is present on {where}")
        if not allowed:
            return Wait(f"{wish.runner} is not present")
        return Refuse(f"{wish.runner} cannot open its file, which is on {where}")
    if all(wish.needed_bytes > runner.memory_total for runner in candidates):
        largest = max(candidates, key=lambda runner: runner.memory_total)
        return Refuse(
            f"it needs about {wish.needed_bytes:,} bytes ({NEED_FACTOR} times its size), "
            f"and the largest runner, {largest.name}, has {largest.memory_total:,} in all"
            + _problems(candidates)
        )
    kept_free = frozenset(promised)
    open_to_us = [
        runner for runner in candidates if runner.name not in kept_free and runner.problem is None
    ]
    plans = [_plan(fleet, wish, runner) for runner in open_to_us]
    starts = [plan for plan in plans if isinstance(plan, _Fits)]
    if starts:
        return Start(max(starts, key=lambda plan: plan.left_bytes).runner)
    under_way = [plan for plan in plans if isinstance(plan, _Leaving)]
    if under_way:
        return Wait("room is being made for it", under_way[0].runner)
    evictions = [plan for plan in plans if isinstance(plan, _Evictions)]
    if evictions:
        best = min(evictions, key=lambda plan: (len(plan.victims), plan.newest_use))
        return Evict(best.runner, tuple(victim.model_id for victim in best.victims))
    return Wait(_numbers(fleet, wish, candidates))


@dataclass(frozen=True)
class _Fits:
    runner: str
    left_bytes: int


@dataclass(frozen=True)
class _Leaving:
    runner: str


@dataclass(frozen=True)
class _Evictions:
    runner: str
    victims: tuple[OccupantView, ...]

    @property
    def newest_use(self) -> float:
        return max(victim.last_used_at for victim in self.victims)


def _plan(fleet: FleetView, wish: Wish, runner: RunnerView) -> _Fits | _Leaving | _Evictions | None:
    """How this runner could take the wish: now, soon, after evictions, or not."""
    places = fleet.max_models - len(fleet.occupants)
    room = free_bytes(fleet, runner) - wish.needed_bytes
    if places > 0 and room >= 0:
        return _Fits(runner.name, room)
    leaving = [occupant for occupant in fleet.occupants if occupant.state == "leaving"]
    places += len(leaving)
    room += _held(leaving, runner)
    if places > 0 and room >= 0:
        return _Leaving(runner.name)
    idle = sorted(
        (occupant for occupant in fleet.occupants if occupant.state == "idle"),
        key=lambda occupant: occupant.last_used_at,
    )
    victims: list[OccupantView] = []
    for occupant in idle:
        if room >= 0:
            break
        if occupant.runner == runner.name:
            victims.append(occupant)
            room += occupant.needed_bytes
    missing_places = 1 - places - len(victims)
    if missing_places > 0:
        others = [occupant for occupant in idle if occupant not in victims]
        victims += others[:missing_places]
        missing_places -= len(others)
    if room < 0 or missing_places > 0:
        return None
    return _Evictions(runner.name, tuple(victims))


def free_bytes(fleet: FleetView, runner: RunnerView) -> int:
    """Free memory, less what loads under way will take."""
    loading = (occupant for occupant in fleet.occupants if occupant.state == "loading")
    return runner.memory_free - _held(loading, runner)


def _held(occupants: Iterable[OccupantView], runner: RunnerView) -> int:
    return sum(occupant.needed_bytes for occupant in occupants if occupant.runner == runner.name)


def _numbers(fleet: FleetView, wish: Wish, candidates: Sequence[RunnerView]) -> str:
    states = [occupant.state for occupant in fleet.occupants]
    rooms = ", ".join(f"{free_bytes(fleet, runner):,} on {runner.name}" for runner in candidates)
    return (
        f"{len(states)} of at most {fleet.max_models} models have a place "
        f"({states.count('busy')} busy, {states.count('loading')} loading, "
        f"{states.count('idle')} idle); "
        f"it needs about {wish.needed_bytes:,} bytes, free are {rooms}" + _problems(candidates)
    )


def _problems(runners: Iterable[RunnerView]) -> str:
    return "".join(
        f"; {runner.name} can start no engine: {runner.problem}"
        for runner in runners
        if runner.problem
    )
