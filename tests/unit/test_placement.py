from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from common.errors import InvalidRequest
from workers.controller.placement import (
    NEED_FACTOR,
    Decision,
    Evict,
    FleetView,
    OccupantView,
    Refuse,
    RunnerView,
    Start,
    Wait,
    Wish,
    decide,
    free_bytes,
    needed_bytes,
    runner_called,
)

State = Literal["loading", "idle", "busy", "leaving"]

STATES: tuple[State, ...] = ("busy", "loading", "idle")


@dataclass(frozen=True)
class Case:
    """A fleet, a wish, runners promised to earlier wishes; and what is decided."""

    fleet: FleetView
    wish: Wish
    promised: frozenset[str]

    @property
    def decision(self) -> Decision:
        return decide(self.fleet, self.wish, self.promised)

    @property
    def candidates(self) -> list[RunnerView]:
        return [runner for runner in self.fleet.runners if runner.host in self.wish.hosts]

    @property
    def unpromised(self) -> list[RunnerView]:
        return [runner for runner in self.candidates if runner.name not in self.promised]


@st.composite
def runners(draw: st.DrawFn) -> list[RunnerView]:
    drawn = []
    for number in range(draw(st.integers(1, 3))):
        free = draw(st.integers(0, 60))
        held = draw(st.integers(0, 60))
        host = draw(st.sampled_from(["host-a", "host-a", "host-a", "host-b"]))
        drawn.append(RunnerView(f"runner-{number}", host, free, free + held))
    return drawn


@st.composite
def occupants(draw: st.DrawFn) -> list[OccupantView]:
    return [
        OccupantView(
            model_id=f"model-{number}",
            # The last one is hardly ever present.
            runner=f"runner-{draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3]))}",
            state=draw(st.sampled_from(["idle", "busy", "idle", "loading", "idle", "leaving"])),
            needed_bytes=draw(st.integers(0, 40)),
            last_used_at=draw(st.integers(0, 8)),
        )
        for number in range(draw(st.integers(0, 6)))
    ]


HOSTS = [{"host-a"}, {"host-a", "host-b"}]
OTHER_HOSTS = [{"host-b"}, {"host-c"}]
cases = st.builds(
    Case,
    fleet=st.builds(FleetView, runners(), occupants(), st.sampled_from([8, 4, 6, 1])),
    wish=st.builds(
        Wish,
        model_id=st.just("wanted"),
        needed_bytes=st.integers(5, 70),
        hosts=st.sampled_from([*HOSTS * 4, *OTHER_HOSTS]).map(frozenset),
    ),
    promised=st.sampled_from([*[()] * 6, ("runner-0",), ("runner-0", "runner-1")]).map(frozenset),
)
starts = cases.filter(lambda case: isinstance(case.decision, Start))
evictions = cases.filter(lambda case: isinstance(case.decision, Evict))
waits = cases.filter(lambda case: isinstance(case.decision, Wait))


def runner_of(fleet: FleetView, name: str) -> RunnerView:
    (runner,) = (runner for runner in fleet.runners if runner.name == name)
    return runner


def fits(fleet: FleetView, wish: Wish, runner: RunnerView) -> bool:
    """Written down anew from the rule: free memory, less what loads under way will take."""
    loading = sum(
        occupant.needed_bytes
        for occupant in fleet.occupants
        if occupant.state == "loading" and occupant.runner == runner.name
    )
    has_place = len(fleet.occupants) < fleet.max_models
    return has_place and runner.memory_free - loading >= wish.needed_bytes


def without(fleet: FleetView, gone: set[str]) -> FleetView:
    """The fleet once these have left and their memory is free."""
    freed = {
        runner.name: sum(
            occupant.needed_bytes
            for occupant in fleet.occupants
            if occupant.model_id in gone and occupant.runner == runner.name
        )
        for runner in fleet.runners
    }
    return FleetView(
        [
            replace(runner, memory_free=runner.memory_free + freed[runner.name])
            for runner in fleet.runners
        ],
        [occupant for occupant in fleet.occupants if occupant.model_id not in gone],
        fleet.max_models,
    )


def ids(fleet: FleetView, *states: State) -> set[str]:
    return {occupant.model_id for occupant in fleet.occupants if occupant.state in states}


@given(cases)
def test_something_is_decided_about_every_wish(case: Case) -> None:
    event(type(case.decision).__name__)
    assert isinstance(case.decision, Start | Evict | Wait | Refuse)


@settings(max_examples=50)
@given(starts)
def test_a_start_has_room_a_place_the_file_and_was_not_promised(case: Case) -> None:
    assert isinstance(case.decision, Start)
    runner = runner_of(case.fleet, case.decision.runner)
    assert fits(case.fleet, case.wish, runner)
    assert runner in case.unpromised


@given(cases)
def test_where_a_start_is_possible_nothing_else_is_decided(case: Case) -> None:
    possible = [runner for runner in case.unpromised if fits(case.fleet, case.wish, runner)]
    decision = case.decision
    assert isinstance(decision, Start) == bool(possible)
    if isinstance(decision, Start):
        most = max(free_bytes(case.fleet, runner) for runner in possible)
        assert free_bytes(case.fleet, runner_of(case.fleet, decision.runner)) == most


@settings(max_examples=50)
@given(evictions)
def test_only_idle_models_are_evicted_and_then_there_is_room(case: Case) -> None:
    decision, fleet = case.decision, case.fleet
    assert isinstance(decision, Evict)
    victims = set(decision.model_ids)
    assert len(victims) == len(decision.model_ids) > 0
    assert victims <= ids(fleet, "idle")
    assert runner_of(fleet, decision.runner) in case.unpromised
    afterwards = without(fleet, victims | ids(fleet, "leaving"))
    assert fits(afterwards, case.wish, runner_of(afterwards, decision.runner))
    assert isinstance(decide(afterwards, case.wish, case.promised), Start)


@settings(max_examples=50)
@given(evictions)
def test_no_more_models_are_evicted_than_must_be(case: Case) -> None:
    decision, fleet = case.decision, case.fleet
    assert isinstance(decision, Evict)
    fewer = without(fleet, set(decision.model_ids[:-1]) | ids(fleet, "leaving"))
    assert not fits(fewer, case.wish, runner_of(fewer, decision.runner))


@settings(max_examples=50)
@given(evictions)
def test_the_least_recently_used_go_first(case: Case) -> None:
    decision = case.decision
    assert isinstance(decision, Evict)
    idle = [occupant for occupant in case.fleet.occupants if occupant.state == "idle"]
    for victim in (occupant for occupant in idle if occupant.model_id in decision.model_ids):
        spared = [
            occupant
            for occupant in idle
            if occupant.model_id not in decision.model_ids
            # Only those on the same runner could have given their memory instead.
            and (victim.runner != decision.runner or occupant.runner == decision.runner)
        ]
        assert all(victim.last_used_at <= occupant.last_used_at for occupant in spared)


@given(waits)
def test_idle_models_are_not_spared_while_a_wish_waits_in_vain(case: Case) -> None:
    decision, wish = case.decision, case.wish
    assert isinstance(decision, Wait)
    after_leaving = without(case.fleet, ids(case.fleet, "leaving"))
    if decision.runner is not None:
        assert decision.runner in {runner.name for runner in case.unpromised}
        assert fits(after_leaving, wish, runner_of(after_leaving, decision.runner))
        return
    emptied = without(case.fleet, ids(case.fleet, "leaving", "idle"))
    for runner in case.unpromised:
        assert not fits(after_leaving, wish, runner_of(after_leaving, runner.name))
        assert not fits(emptied, wish, runner_of(emptied, runner.name))


@given(cases)
def test_a_wish_is_refused_only_where_no_candidate_could_ever_hold_it(case: Case) -> None:
    able, needed = case.candidates, case.wish.needed_bytes
    never = bool(able) and all(runner.memory_total < needed for runner in able)
    decision = case.decision
    assert isinstance(decision, Refuse) == never
    if isinstance(decision, Refuse):
        largest = max(runner.memory_total for runner in able)
        assert f"{needed:,} bytes" in decision.reason
        assert f"{largest:,} in all" in decision.reason


@given(waits)
def test_who_waits_is_told_the_numbers(case: Case) -> None:
    decision, fleet = case.decision, case.fleet
    assert isinstance(decision, Wait)
    if decision.runner is not None:
        return
    if not case.candidates:
        assert all(host in decision.reason for host in case.wish.hosts)
        return
    assert f"{len(fleet.occupants)} of at most {fleet.max_models} models" in decision.reason
    assert f"{case.wish.needed_bytes:,} bytes" in decision.reason
    for state in STATES:
        assert f"{len(ids(fleet, state))} {state}" in decision.reason
    for runner in case.candidates:
        assert f"{free_bytes(fleet, runner):,} on {runner.name}" in decision.reason


@given(cases, st.data())
def test_the_order_of_occupants_decides_nothing_but_ties(case: Case, data: st.DataObject) -> None:
    used = [
        replace(occupant, last_used_at=float(number))
        for number, occupant in enumerate(case.fleet.occupants)
    ]
    shuffled = data.draw(st.permutations(used))
    assert decide(replace(case.fleet, occupants=shuffled), case.wish, case.promised) == decide(
        replace(case.fleet, occupants=used), case.wish, case.promised
    )


# Cases worth reading


GIB = 1024**3


def occupant(
    model_id: str, state: State = "idle", *, runner: str = "gpu-0", gib: int = 10, used: float = 0
) -> OccupantView:
    return OccupantView(model_id, runner, state, gib * GIB, used)


def decided(
    *present: OccupantView, gib: int = 10, free_gib: int = 24, max_models: int = 4
) -> Decision:
    """For a model of so many GiB on a GPU of 24."""
    fleet = FleetView(
        [RunnerView("gpu-0", "host", free_gib * GIB, 24 * GIB)], list(present), max_models
    )
    return decide(fleet, Wish("wanted", gib * GIB, frozenset({"host"})))


def test_a_model_needs_a_fifth_more_than_its_file() -> None:
    assert NEED_FACTOR == 1.2
    assert needed_bytes(1_000_000) == 1_200_000
    assert needed_bytes(0) == 0


def test_an_empty_runner_takes_it() -> None:
    assert decided() == Start("gpu-0")


def test_a_load_under_way_counts_though_its_memory_is_not_taken_yet() -> None:
    assert decided(occupant("a", "loading", gib=14)) == Start("gpu-0")
    assert isinstance(decided(occupant("a", "loading", gib=15)), Wait)


def test_a_full_fleet_evicts_the_one_that_was_used_longest_ago() -> None:
    present = [occupant("new", used=9), occupant("old", used=1), occupant("mid", used=5)]
    assert decided(*present, max_models=3) == Evict("gpu-0", ("old",))


def test_memory_for_a_large_model_may_need_several() -> None:
    present = [occupant("new", used=9), occupant("old", used=1)]
    assert decided(*present, gib=12, free_gib=4) == Evict("gpu-0", ("old",))
    assert decided(*present, gib=16, free_gib=4) == Evict("gpu-0", ("old", "new"))


def test_room_that_is_being_made_is_waited_for() -> None:
    leaving, idle = occupant("a", "leaving"), occupant("b")
    assert decided(leaving, idle, free_gib=4) == Wait("room is being made for it", "gpu-0")


def test_busy_models_are_waited_for() -> None:
    decision = decided(occupant("a", "busy"), occupant("b", "busy"), free_gib=4)
    assert isinstance(decision, Wait)
    assert decision.runner is None


def test_a_promised_runner_is_left_alone() -> None:
    runners = [RunnerView(name, "host", 24 * GIB, 24 * GIB) for name in ("gpu-0", "gpu-1")]
    fleet, wish = FleetView(runners, [], 4), Wish("wanted", GIB, frozenset({"host"}))
    assert decide(fleet, wish, ["gpu-0"]) == Start("gpu-1")
    assert isinstance(decide(fleet, wish, ["gpu-0", "gpu-1"]), Wait)


def test_who_is_refused_is_told_of_a_runner_that_can_start_nothing() -> None:
    ill = RunnerView("gpu-0", "host", 0, 0, problem="GPU-a is not there")
    wish = Wish("wanted", 10 * GIB, frozenset({"host"}))
    refusal = decide(FleetView([ill], [], 4), wish)
    assert isinstance(refusal, Refuse)
    assert refusal.reason.endswith("gpu-0 can start no engine: GPU-a is not there")

    healthy = RunnerView("gpu-1", "host", 24 * GIB, 24 * GIB)
    busy = occupant("a", "busy", runner="gpu-1", gib=20)
    full = FleetView([ill, replace(healthy, memory_free=4 * GIB)], [busy], 4)
    waiting = decide(full, wish)
    assert isinstance(waiting, Wait)
    assert waiting.reason.endswith("gpu-0 can start no engine: GPU-a is not there")
    assert decide(FleetView([ill, healthy], [], 4), wish) == Start("gpu-1")


def test_nothing_is_evicted_for_a_runner_that_can_start_nothing() -> None:
    stopping = RunnerView("gpu-0", "host", 0, 24 * GIB, problem="it is stopping")
    wish = Wish("wanted", 10 * GIB, frozenset({"host"}))
    idle = occupant("a", "idle", gib=20)
    waiting = decide(FleetView([stopping], [idle], 4), wish)
    assert isinstance(waiting, Wait)
    assert waiting.reason.endswith("gpu-0 can start no engine: it is stopping")
    small = RunnerView("gpu-1", "host", 12 * GIB, 12 * GIB)
    assert decide(FleetView([stopping, small], [idle], 4), wish) == Start("gpu-1")


@pytest.mark.parametrize("gib", [24, 25])
def test_what_never_fits_is_refused(gib: int) -> None:
    decision = decided(occupant("a", "busy"), gib=gib, free_gib=14)
    assert isinstance(decision, Wait if gib == 24 else Refuse)


def test_a_wish_for_one_runner_is_for_that_one_alone() -> None:
    runners = [RunnerView(name, "host", 24 * GIB, 24 * GIB) for name in ("gpu-0", "gpu-1")]
    wish = Wish("wanted", GIB, frozenset({"host"}), runner="gpu-1")
    assert decide(FleetView(runners, [], 4), wish) == Start("gpu-1")
    full = [runners[0], replace(runners[1], memory_free=0)]
    idle = occupant("a", runner="gpu-1", used=5)
    assert decide(FleetView(full, [idle], 4), wish) == Evict("gpu-1", ("a",))
    away = decide(FleetView(runners[:1], [], 4), wish)
    assert away == Wait("gpu-1 is not present")
    too_far = decide(FleetView(runners, [], 4), replace(wish, hosts=frozenset({"other"})))
    assert isinstance(too_far, Refuse)
    assert "other" in too_far.reason


def test_a_runner_is_called_by_its_name_with_or_without_its_host() -> None:
    names = ("runner-0@a", "runner-0@b", "runner-1@b")
    runners = [RunnerView(name, name[-1], GIB, GIB) for name in names]
    assert runner_called("runner-0@b", runners) == "runner-0@b"
    assert runner_called("runner-1", runners) == "runner-1@b"
    with pytest.raises(InvalidRequest, match="2 hosts have one") as ambiguous:
        runner_called("runner-0", runners)
    assert ambiguous.value.details == {"runner": "runner-0", "known": ["runner-0@a", "runner-0@b"]}
    with pytest.raises(InvalidRequest, match="no such runner") as unknown:
        runner_called("gpu", runners)
    assert all(name in unknown.value.message for name in names)
    with pytest.raises(InvalidRequest, match="none is present"):
        runner_called("gpu", [])
