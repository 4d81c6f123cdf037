from __future__ import annotations

import pytest

from common.live_settings import LiveSettings
from common.settings import Llama, ModelSettings, Settings
from gateway.fleet import ids_by_alias
from gateway.proxy.model_rules import ModelRules, limit


@pytest.mark.parametrize(
    ("own", "everyone", "slots", "expected"),
    [
        (None, 0, 2, 8),
        (None, 0, None, None),
        (None, 3, 2, 3),
        (5, 3, 2, 5),
        (0, 3, 2, 8),
        (5, 0, None, 5),
    ],
)
def test_a_models_own_limit_is_above_the_one_for_all_and_both_above_its_slots(
    own: int | None, everyone: int, slots: int | None, expected: int | None
) -> None:
    settings = Settings(llama=Llama(max_concurrent=everyone))
    assert limit(ModelSettings(max_concurrent=own), settings, slots) == expected


def test_a_model_without_settings_is_like_all() -> None:
    assert limit(None, Settings(), 4) == 16


def test_rules_follow_the_settings() -> None:
    live = LiveSettings(Settings())
    rules = ModelRules(live)
    body = b'{"model":"qwen","top_p":1,"n":2}'
    assert rules.body_filter("qwen").apply(body) is body
    assert rules.aliases("qwen") == ()
    model = ModelSettings(
        aliases=("q",), strip_params=("n",), set_params={"top_p": 0.5}, max_concurrent=1
    )
    live.replace(Settings(models={"qwen": model}))
    assert rules.body_filter("qwen").apply(body) == b'{"model":"qwen","top_p":0.5}'
    assert rules.body_filter("other").apply(body) is body
    assert rules.aliases("qwen") == ("q",)
    assert (rules.limit("qwen", 8), rules.limit("other", 8)) == (1, 32)


def test_an_alias_stands_for_its_model() -> None:
    models = {"a": ModelSettings(aliases=("x", "y")), "b": ModelSettings()}
    assert ids_by_alias(models) == {"x": "a", "y": "a"}
