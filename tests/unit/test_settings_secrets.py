from __future__ import annotations

import pytest

from common.api.config import HIDDEN
from common.settings import Llama, NamedRunner, Settings
from common.settings_secrets import hide, is_secret, reveal
from common.settings_values import as_json

SETTINGS = as_json(
    Settings(
        llama=Llama(flags={"hf-token": "hf_1", "threads": "4"}),
        runners=(NamedRunner(name="a", env={"AWS_SECRET_ACCESS_KEY": "s", "GPU": "0"}),),
    )
)


@pytest.mark.parametrize(
    "name",
    ["hf-token", "HF_TOKEN", "api-key", "LLAMA_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD"],
)
def test_secrets_are_known_by_their_names(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["threads", "keep", "monkey", "HIP_VISIBLE_DEVICES", "override-kv"]
)
def test_other_names_are_shown(name: str) -> None:
    assert not is_secret(name)


def test_secrets_are_hidden_and_nothing_else() -> None:
    shown = hide(SETTINGS)
    assert shown["llama"]["flags"] == {"hf-token": HIDDEN, "threads": "4"}
    assert shown["runners"][0]["env"] == {"AWS_SECRET_ACCESS_KEY": HIDDEN, "GPU": "0"}
    assert shown["server"] == SETTINGS["server"]
    assert SETTINGS["llama"]["flags"]["hf-token"] == "hf_1"


def test_what_was_shown_can_be_sent_back() -> None:
    shown = hide(SETTINGS)
    changes = {"llama": shown["llama"], "runners": list(shown["runners"])}
    revealed = reveal(changes, SETTINGS)
    assert revealed["llama"] == SETTINGS["llama"]
    assert revealed["runners"] == SETTINGS["runners"]


def test_a_secret_that_is_not_known_stays_hidden() -> None:
    changes = {"runners": [{"name": "b", "env": {"HF_TOKEN": HIDDEN}}]}
    assert reveal(changes, SETTINGS) == changes


@pytest.mark.parametrize(
    "changes",
    [{}, {"llama": None}, {"llama": 3}, {"llama": {"flags": None}}, {"runners": [3, {"env": 1}]}],
)
def test_changes_of_any_form_are_left_to_the_check(changes: dict[str, object]) -> None:
    assert reveal(changes, SETTINGS) == changes
