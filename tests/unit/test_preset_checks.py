from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec import UNSET

from common.api.parameters import Parameter, Range
from common.api.presets import SavePreset
from common.engine_flags.catalogue import Catalogue
from common.engine_flags.validation import Facts, ModelFacts
from common.errors import InvalidRequest
from workers.controller.presets import checks
from workers.controller.presets.collection import Entry
from workers.controller.presets.edit import proposed, refuse_contradictory
from workers.controller.presets.ini import Document
from workers.controller.presets.store import StoredFile

CATALOGUE = Catalogue(
    [Parameter(name="ctx-size", type="int", range=Range(min=0), aliases=("c",))],
)
FACTS = Facts(models={"qwen": ModelFacts(context_length=8192)})


def remarks(config: checks.Config) -> list[tuple[str, str, str]]:
    found = checks.check(config, CATALOGUE, FACTS)
    return [(finding.section, finding.key, finding.severity) for finding in found]


def entry(text: str = "", problem: str | None = None) -> Entry:
    return Entry(StoredFile((0, 0, 0, 0), text, problem), Document.parse(text), problem)


def test_a_configuration_without_faults_has_no_remarks() -> None:
    assert remarks({"*": {"c": "4096"}, "qwen": {}, "q*": {"ctx-size": "8192"}, "gone": None}) == []


def test_faults_are_told_with_their_place() -> None:
    assert remarks({"*": {"c": "x", "--c": "1", "nope": "1"}, "a]": {"c": "1"}}) == [
        ("*", "--c", "error"),
        ("a]", "", "error"),
        ("*", "c", "error"),
        ("*", "nope", "error"),
    ]


def test_a_section_for_a_model_that_is_not_here_is_worth_a_look_only() -> None:
    assert remarks({"qwem": {"c": "4096"}}) == [("qwem", "", "warning")]


def test_only_so_many_sections_are_looked_at() -> None:
    assert remarks({f"m{number}": {"nope": "1"} for number in range(501)}) == [("", "", "error")]


def test_a_group_is_held_against_its_models() -> None:
    assert ("q*", "c", "warning") in remarks({"q*": {"c": "9000"}})


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"*": {"load-on-startup": "on", "dedup-cache-models": "0", "stop-timeout": "10"}}, []),
        (
            {"*": {"load-on-startup": "x", "stop-timeout": "1.5"}},
            ["load-on-startup", "stop-timeout"],
        ),
    ],
)
def test_keys_that_only_presets_have(
    config: Mapping[str, Mapping[str, str]], keys: list[str]
) -> None:
    assert [key for _, key, _ in remarks(config)] == keys


def test_what_may_not_be_set_whatever_the_engine_knows() -> None:
    found = checks.reserved({"*": {"api-key": "x", "brand-new": "7", "brand-new-dir": "/x"}})
    assert [finding.key for finding in found] == ["api-key", "brand-new-dir"]


def test_only_sections_that_change_are_judged() -> None:
    before = {"a": {"model": "/x"}, "b": {"c": "1"}}
    after = {"a": {"model": "/x"}, "b": {"c": "2"}, "d": {}}
    assert checks.changed(before, after) == {"b": {"c": "2"}, "d": {}}


def test_a_new_file_begins_with_the_formats_version() -> None:
    request = SavePreset(filename="x", config={"*": {"c": "1"}}, name="N", description="D")
    document, findings = proposed(request, None)
    assert findings == ()
    assert str(document) == "; name: N\n; description: D\nversion = 1\n\n[*]\nc = 1\n"


def test_content_is_taken_as_it_is() -> None:
    document, _ = proposed(SavePreset(filename="x", content="; hi\r\n[*]\r\n"), entry("[a]\n"))
    assert str(document) == "; hi\r\n[*]\r\n"


@pytest.mark.parametrize(
    ("request_", "before"),
    [
        (SavePreset(filename="x", content="oops"), None),
        (SavePreset(filename="x", config={"*": {"a b": "1"}}), None),
        (SavePreset(filename="x", config={}, name="a\x1b[2J"), None),
        (SavePreset(filename="x", config={}, description="x" * 501), None),
        (SavePreset(filename="x", config={}), entry(problem="line 1: no")),
    ],
)
def test_what_cannot_be_written(request_: SavePreset, before: Entry | None) -> None:
    document, findings = proposed(request_, before)
    assert document is None
    assert [finding.severity for finding in findings] == ["error"]


def test_a_request_says_one_thing() -> None:
    for request in (SavePreset(filename="x"), SavePreset(filename="x", config={}, content="")):
        with pytest.raises(InvalidRequest):
            refuse_contradictory(request, "presets:save")
    assert SavePreset(filename="x").config is UNSET
