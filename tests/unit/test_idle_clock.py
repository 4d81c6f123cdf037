from __future__ import annotations

import pytest

from common.api.instances import Traffic
from common.settings import Llama, ModelSettings, Settings
from workers.controller.idle_clock import IdleClock, ttl_s
from workers.controller.order import Order


def told(in_flight: int = 0, at: float = 0.0) -> Traffic:
    return Traffic(in_flight=in_flight, last_used_at=at)


def test_what_nobody_uses_is_idle_from_its_beginning() -> None:
    clock = IdleClock(100)
    clock.look(told(), 100)
    clock.look(told(), 130)
    assert clock.idle_s(130) == 30


def test_a_request_in_flight_is_use_for_as_long_as_it_lasts() -> None:
    clock = IdleClock(0)
    for now in (10, 20, 30):
        clock.look(told(1, at=7), now)
        assert clock.idle_s(now) == 0
    clock.look(told(0, at=7), 40)
    assert clock.idle_s(40) == 10


def test_a_request_that_came_and_went_between_two_looks_is_use() -> None:
    clock = IdleClock(0)
    clock.look(told(at=1), 10)
    clock.look(told(at=2), 20)
    assert clock.idle_s(25) == 5


def test_news_that_are_older_than_what_was_known_are_use() -> None:
    """The proxy that knew better was started anew."""
    clock = IdleClock(0)
    clock.look(told(at=500), 10)
    clock.look(told(), 20)
    assert clock.idle_s(20) == 0
    clock.look(told(), 30)
    assert clock.idle_s(30) == 10


def test_the_proxies_wall_clocks_do_not_matter() -> None:
    clock = IdleClock(0)
    clock.look(told(at=9_999_999_999), 10)
    clock.look(told(at=9_999_999_999), 30)
    assert clock.idle_s(30) == 20


def test_somebody_who_asks_for_the_model_uses_it() -> None:
    clock = IdleClock(0)
    clock.look(told(), 10)
    clock.use(20)
    clock.look(told(), 25)
    assert clock.idle_s(25) == 5


@pytest.mark.parametrize(
    ("ordered", "own", "everyone", "expected"),
    [
        (None, None, 0, None),
        (None, None, 60, 60),
        (None, 5, 60, 5),
        (None, 0, 60, None),
        (9, 5, 60, 9),
        (0, 5, 60, None),
    ],
)
def test_the_order_is_above_the_models_setting_and_that_above_the_one_for_all(
    ordered: float | None, own: float | None, everyone: float, expected: float | None
) -> None:
    settings = Settings(
        llama=Llama(ttl_seconds=everyone), models={"qwen": ModelSettings(ttl_seconds=own)}
    )
    assert ttl_s("qwen", ordered, settings) == expected


def test_a_later_order_changes_how_long_a_model_stays_but_not_where_it_is() -> None:
    first = Order(preset="a", runner="gpu-0", ttl_s=5, on_demand=True)
    assert first.joined_by(Order(on_demand=True)) == first
    asked = Order(preset="a", runner="gpu-0", ttl_s=9)
    assert first.joined_by(Order(preset="b", ttl_s=9)) == asked
    assert asked.joined_by(Order(on_demand=True)) == asked
