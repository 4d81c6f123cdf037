from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.api.parameters import Parameter
from common.engine_flags import layers
from common.engine_flags.catalogue import Catalogue
from workers.controller.presets import applied as applied_file
from workers.controller.presets import sections
from workers.controller.presets.applied import Applied

CATALOGUE = Catalogue(
    [
        Parameter(
            name="ctx-size", type="int", default="0", env="LLAMA_ARG_CTX_SIZE", aliases=("c",)
        ),
        Parameter(name="jinja", type="bool", default="true", negations=("no-jinja",)),
        Parameter(name="temp", type="float", default="0.8"),
        Parameter(name="port", type="int", default="8080", reserved=True, reason="it is ours"),
    ]
)

PRESET = {
    "*": {"c": "1024", "temp": "0.1", "stop-timeout": "3"},
    "qwen*": {"LLAMA_ARG_CTX_SIZE": "2048", "no-jinja": "true"},
    "other": {"temp": "0.9"},
    "qwen-7?": {"temp": "0.2"},
    "qwen-7b": {"ctx-size": "4096"},
}


def resolved(model_id: str) -> dict[str, tuple[str, str, str | None]]:
    found = sections.entries(model_id, PRESET, CATALOGUE)
    return {name: (each.value, each.source, each.section) for name, each in found.items()}


def test_the_stronger_section_wins_whichever_spelling_it_uses() -> None:
    assert resolved("qwen-7b") == {
        "ctx-size": ("4096", "model", "qwen-7b"),
        "temp": ("0.2", "group", "qwen-7?"),
        "jinja": ("true", "group", "qwen*"),
        "stop-timeout": ("3", "[*]", "*"),
    }
    assert resolved("llama") == {
        "ctx-size": ("1024", "[*]", "*"),
        "temp": ("0.1", "[*]", "*"),
        "stop-timeout": ("3", "[*]", "*"),
    }


def test_an_engine_gets_each_flag_once_as_it_is_spelled() -> None:
    flags = sections.engine_flags(sections.entries("qwen-7b", PRESET, CATALOGUE))
    assert flags == {"ctx-size": "4096", "temp": "0.2", "no-jinja": "true"}
    flags = sections.engine_flags(sections.entries("qwen-0", PRESET, CATALOGUE))
    assert flags == {"LLAMA_ARG_CTX_SIZE": "2048", "temp": "0.1", "no-jinja": "true"}


def test_below_a_preset_are_the_configuration_and_the_engines_defaults() -> None:
    found = sections.with_lower_layers(
        sections.entries("llama", PRESET, CATALOGUE), {"c": "9", "jinja": "false"}, CATALOGUE
    )
    assert {name: (each.value, each.source) for name, each in found.items()} == {
        "ctx-size": ("1024", "[*]"),
        "jinja": ("false", "config"),
        "temp": ("0.1", "[*]"),
    }


def test_a_runner_puts_its_configuration_below_what_a_preset_says() -> None:
    configured = {"c": "1", "threads": "4", "brand-new": "1"}
    stacked = layers.stacked((configured, {"ctx-size": "2", "no-jinja": "1"}), CATALOGUE)
    assert layers.flags(stacked) == {
        "ctx-size": "2",
        "threads": "4",
        "brand-new": "1",
        "no-jinja": "1",
    }


@pytest.mark.parametrize(
    ("group", "model_id", "inside"),
    [
        ("qwen*", "qwen", True),
        ("qwen*", "qwen/7b", True),
        ("*-7b", "deep/qwen-7b", True),
        ("qwen-?b", "qwen-7b", True),
        ("qwen-?b", "qwen-70b", False),
        ("qwen*", "Qwen", False),
        ("[ab*", "[abc", True),
        ("[ab*", "abc", False),
        ("a.*", "axb", False),
    ],
)
def test_groups(group: str, model_id: str, inside: bool) -> None:
    assert sections.in_group(model_id, group) is inside
    assert sections.groups([group, "*", "plain"], [model_id]) == {
        group: (model_id,) if inside else ()
    }


def test_a_spiteful_group_takes_no_time() -> None:
    assert not sections.in_group("a" * 400, "*a" * 60 + "b")


def test_who_uses_a_preset() -> None:
    some = Applied().to_some("small", ["b", "a"])
    assert (some.of("a"), some.of("c")) == ("small", None)
    assert some.users("small") == ("a", "b")
    every = some.to_some("big", ["a"]).to_all("big")
    assert (every.of("a"), every.of("c"), every.users("big")) == ("big", "big", ("*",))
    mixed = every.to_some("small", ["a"])
    assert (mixed.of("a"), mixed.users("big"), mixed.users("small")) == ("small", ("*",), ("a",))
    assert mixed.renamed("big", "huge").users("huge") == ("*",)
    assert mixed.without("small").of("a") == "big"
    assert mixed.without("big").of("c") is None


def test_it_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "applied.json"
    assert applied_file.read(path) == Applied()
    applied = Applied().to_all("big").to_some("small", ["a"])
    applied_file.write(path, applied)
    assert applied_file.read(path) == applied
    assert json.loads(path.read_text()) == {"everyModel": "big", "models": {"a": "small"}}
    path.write_text("{")
    assert applied_file.read(path) == Applied()
