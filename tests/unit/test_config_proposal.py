"""What changes of the configuration come to, and who may make them."""

from __future__ import annotations

from typing import Any

import pytest

from common.api.base import Role
from common.api.config import HIDDEN
from common.errors import ConfigInvalid, PermissionDenied
from common.settings import ModelSettings, Settings
from common.settings_values import as_json
from workers.controller.configuration.proposal import Proposal, propose

FILE = "/home/config.toml"


def proposed(
    changes: dict[str, Any],
    text: str = "",
    role: Role = Role.ADMIN,
    environ: dict[str, str] | None = None,
) -> Proposal:
    return propose(text, changes, role, where=FILE, known=Settings(), environ=environ or {})


def refusal(changes: dict[str, Any], text: str = "", **more: Any) -> dict[str, str]:
    """The messages by path."""
    with pytest.raises(ConfigInvalid) as caught:
        proposed(changes, text, **more)
    assert caught.value.details is not None
    return {found["path"]: found["message"] for found in caught.value.details["problems"]}


def asked(proposal: Proposal) -> list[str]:
    return [difference.path for difference in proposal.asked]


def test_a_change_gives_the_new_text_and_the_new_settings() -> None:
    proposal = proposed({"llama": {"maxModels": 8}}, "[llama]\nmaxModels = 2 # two\n")
    assert proposal.text == "[llama]\nmaxModels = 8 # two\n"
    assert (proposal.before.llama.max_models, proposal.after.llama.max_models) == (2, 8)
    assert asked(proposal) == ["llama.maxModels"]


def test_null_is_back_to_the_default() -> None:
    text = "[llama]\nmaxModels = 2\nport = 1\n[server]\nport = 2\n"
    proposal = proposed({"llama": {"maxModels": None}, "server": None}, text)
    assert proposal.after.llama.max_models == Settings().llama.max_models
    assert proposal.after.server == Settings().server
    assert proposal.after.llama.port == 1
    assert proposal.text == "[llama]\nport = 1\n[server]\n"


def test_null_for_a_misspelt_key_is_refused() -> None:
    problems = refusal({"llama": {"maxmodels": None}})
    assert "did you mean llama.maxModels?" in problems["llama.maxmodels"]


def test_what_holds_anyway_is_not_written() -> None:
    everything = {"llama": {"maxModels": 4, "flags": {}}, "server": {"port": 3000}, "runners": []}
    assert proposed(everything).text == ""
    text = "[metrics]\nintervalSeconds = 2\n"
    assert proposed({"metrics": {"intervalSeconds": 2.0}}, text).text == text


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"llama": {"maxModels": 0}}, "llama.maxModels", "a whole number from 1 to 1000"),
        ({"llama": {"maxmodels": 8}}, "llama.maxmodels", "did you mean llama.maxModels?"),
        ({"server": 3000}, "server", "a table"),
        ({"server": {"port": "3000"}}, "server.port", "a whole number"),
        ({"server": {"port": 8080}}, "llama.port", "another port"),
        ({"llama": {"flags": {"model": "x"}}}, "llama.flags.model", "reserved"),
        ({"llama": {"flags": {"threads": 4}}}, "llama.flags.threads", "a string"),
        ({"runners": [{"name": "a", "env": {"X": None}}]}, "runners[0].env.X", "a string"),
        ({"llama": {"maxModels": True}}, "llama.maxModels", "a whole number"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(
    changes: dict[str, Any], path: str, message: str
) -> None:
    assert message in refusal(changes)[path]


def test_a_wrong_value_comes_with_what_was_given_and_what_is_allowed() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        proposed({"llama": {"maxModels": 0}})
    assert caught.value.details is not None
    (problem,) = caught.value.details["problems"]
    assert (problem["given"], problem["allowed"]) == ("0", "a whole number from 1 to 1000")


def test_all_mistakes_are_told_together() -> None:
    assert set(refusal({"llama": {"maxModels": 0}, "server": {"port": 0}})) == {
        "llama.maxModels",
        "server.port",
    }


def test_a_key_that_a_variable_overrides_cannot_be_changed() -> None:
    environ = {"LLAMA_PROXY_LLAMA__MAX_MODELS": "2"}
    told = refusal({"llama": {"maxModels": 8}}, environ=environ)
    assert "LLAMA_PROXY_LLAMA__MAX_MODELS" in told["llama.maxModels"]
    assert (
        "LLAMA_PROXY" in refusal({"llama": {"maxModels": None}}, environ=environ)["llama.maxModels"]
    )


def test_a_key_that_a_variable_overrides_may_be_sent_back_as_it_is() -> None:
    environ = {"LLAMA_PROXY_LLAMA__MAX_MODELS": "2"}
    proposal = proposed({"llama": {"maxModels": 2, "port": 8081}}, environ=environ)
    assert asked(proposal) == ["llama.port"]
    assert proposal.after.llama.max_models == 2
    assert "maxModels" not in proposal.text


def test_the_list_that_guards_the_engine_cannot_be_changed() -> None:
    assert "llama.allowedServerDirs" in refusal({"llama": {"allowedServerDirs": ["/"]}})
    assert proposed({"llama": {"allowedServerDirs": ["/usr/bin", "/usr/local/bin", "/opt"]}})


def test_a_file_that_is_wrong_can_be_set_right() -> None:
    text = "[llama]\nmaxModels = 0\n"
    assert "llama.maxModels" in refusal({"server": {"port": 3001}}, text)
    assert proposed({"llama": {"maxModels": 3}}, text).text == "[llama]\nmaxModels = 3\n"


def test_a_file_that_is_no_toml_is_left_to_people() -> None:
    with pytest.raises(ConfigInvalid, match=f"{FILE}: this is not TOML"):
        proposed({"llama": {"maxModels": 3}}, "[llama\n")


def test_only_an_admin_changes_places_and_addresses() -> None:
    changes = {"llama": {"modelsDir": "/m", "maxModels": 8}, "server": {"host": "::1"}}
    with pytest.raises(PermissionDenied) as caught:
        proposed(changes, role=Role.OPERATOR)
    assert caught.value.details is not None
    assert caught.value.details["paths"] == ["server.host", "llama.modelsDir"]
    assert proposed(changes, role=Role.ADMIN).after.llama.models_dir == "/m"


def test_an_operator_may_send_back_what_only_an_admin_may_change() -> None:
    proposal = proposed({"llama": {"modelsDir": "models", "maxModels": 8}}, role=Role.OPERATOR)
    assert asked(proposal) == ["llama.maxModels"]


def test_what_was_changed_by_hand_is_not_the_callers_doing() -> None:
    text = "[llama]\nmodelsDir = '/by/hand'\n"
    proposal = proposed({"llama": {"maxModels": 8}}, text, role=Role.OPERATOR)
    assert asked(proposal) == ["llama.maxModels"]
    assert proposal.after.llama.models_dir == "/by/hand"


def test_a_hidden_secret_stays_as_it_is() -> None:
    text = "[[runners]]\nname = 'a'\nenv = {HF_TOKEN = 's', GPU = '0'}\n"
    env = {"HF_TOKEN": HIDDEN, "GPU": "1"}
    proposal = proposed({"runners": [{"name": "a", "env": env}]}, text)
    assert proposal.after.runners[0].env == {"HF_TOKEN": "s", "GPU": "1"}
    assert "runners.b.env.HF_TOKEN" in refusal({"runners": [{"name": "b", "env": env}]}, text)


MODELS = '[models."team/qwen"] # ours\nttlSeconds = 5\naliases = ["q"]\n'


def test_models_are_changed_one_by_one() -> None:
    proposal = proposed(
        {"models": {"team/qwen": {"ttlSeconds": None}, "b": {"setParams": {"n": 1}}}},
        MODELS,
        Role.OPERATOR,
    )
    assert asked(proposal) == ["models"]
    assert proposal.after.models == {
        "team/qwen": ModelSettings(aliases=("q",)),
        "b": ModelSettings(set_params={"n": 1}),
    }
    assert "# ours" in proposal.text


def test_models_that_are_sent_back_as_they_were_shown_stay_as_they_are() -> None:
    shown = as_json(proposed({}, MODELS).after)["models"]
    assert shown == {"team/qwen": {"ttlSeconds": 5, "aliases": ["q"]}}
    assert proposed({"models": shown}, MODELS).text == MODELS
    assert proposed({"models": {"team/qwen": None}}, MODELS).after.models == {}
    assert proposed({"models": None}, MODELS).after.models == {}


def test_an_alias_of_two_models_is_refused() -> None:
    problems = refusal({"models": {"b": {"aliases": ["x", "q"]}}}, MODELS)
    assert "stands for one model" in problems["models.b.aliases[1]"]
