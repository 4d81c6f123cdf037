from __future__ import annotations

from deploy.restart_pause import LONGEST_S, WELL_S, RestartPause


def test_who_was_well_is_started_again_at_once() -> None:
    pause = RestartPause()
    assert [pause.after(WELL_S) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_who_keeps_ending_soon_is_given_growing_pauses_up_to_a_longest() -> None:
    pause = RestartPause()
    pauses = [pause.after(0.1) for _ in range(10)]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == LONGEST_S
    assert max(pauses) == LONGEST_S


def test_a_good_life_makes_the_bad_ones_before_it_forgotten() -> None:
    pause = RestartPause()
    for _ in range(5):
        pause.after(0.1)
    assert pause.after(WELL_S + 1) == 0.0
    assert pause.after(0.1) == 0.5
