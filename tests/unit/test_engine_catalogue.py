from __future__ import annotations

import json

import pytest

from common.api.parameters import Parameter, RemovedFlag
from common.engine_flags import shipped
from common.engine_flags.catalogue import Catalogue
from common.engine_flags.catalogue import shipped as shipped_catalogue
from common.engine_flags.categories import CATEGORIES, OTHER, category_of
from common.engine_flags.help_text import parse_help
from common.engine_flags.numbers import INT_MAX, WORDS, misfit, range_of
from common.engine_flags.removed import REMOVED
from common.engine_flags.shipped import PARAMETERS, SHIPPED
from common.engine_flags.spellings import spellings
from common.engine_flags.values import value_problem
from tests.support.engine_help import HELP
from workers.runner import catalogue_file
from workers.runner.embedded.flags import Flag, parse
from workers.runner.embedded.parameters import embedded_parameters
from workers.runner.embedded.table import BY_KEY, TABLE

EMBEDDED = {parameter.name: parameter for parameter in embedded_parameters().parameters}


def test_the_pages_examples_are_where_the_page_has_them() -> None:
    grouped = {
        category: {parameter.name: parameter.type for parameter in parameters}
        for category, parameters in shipped_catalogue().by_category().items()
    }
    assert grouped["Model Settings"].items() >= {"ctx-size": "int", "n-gpu-layers": "int"}.items()
    assert grouped["Performance"]["threads"] == "int"
    assert grouped["Sampling"]["temp"] == "float"


def test_every_shipped_flag_is_in_one_category_that_is_known() -> None:
    grouped = shipped_catalogue().by_category()
    assert list(grouped) == [category for category in CATEGORIES if category in grouped]
    assert sum(map(len, grouped.values())) == len(PARAMETERS)
    assert OTHER not in grouped


@pytest.mark.parametrize(
    ("name", "section", "category"),
    [
        ("rope-new", "common", "Context Extension"),
        ("spec-new", "", "Speculative Decoding"),
        ("new", "sampling", "Sampling"),
        ("new", "example-specific", "Server"),
        ("new", "common", OTHER),
        ("new", "never heard of", OTHER),
    ],
)
def test_a_flag_of_a_newer_version_has_a_category(name: str, section: str, category: str) -> None:
    assert category_of(name, section) == category


def test_no_shipped_spelling_stands_for_two_flags() -> None:
    every = [spelling for parameter in PARAMETERS for spelling in spellings(parameter)]
    assert len(every) == len(set(every))


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_shipped_flag_is_described_and_its_default_is_right(parameter: Parameter) -> None:
    assert parameter.description
    assert parameter.description == parameter.description.strip(". ")
    assert parameter.type != "enum" or len(parameter.choices) > 1
    if parameter.default:
        assert value_problem(parameter, parameter.default, lambda _: None) is None


def test_the_shipped_file_is_what_would_be_written() -> None:
    file = shipped.read_file()
    assert catalogue_file.PATH.read_text() == catalogue_file.text(file.version, list(file.flags))


def test_a_new_file_has_the_facts_of_the_help_and_our_descriptions() -> None:
    lines = {flag.name: flag for flag in catalogue_file.flags(parse_help(HELP))}
    assert lines["ctx-size"].description == SHIPPED["ctx-size"].description
    assert lines["quick"].description == ""
    assert (lines["quick"].default, lines["quick"].section) == ("-1", "common")
    assert len(json.loads(catalogue_file.text("1", list(lines.values())))["flags"]) == len(lines)


def test_a_removed_flag_is_not_shipped_under_its_name() -> None:
    assert REMOVED.keys().isdisjoint(parameter.name for parameter in PARAMETERS)
    assert "no-mmap" in REMOVED


FLAGS = Catalogue(parse_help(HELP).parameters, [RemovedFlag(names=("old",), advice="use new")])


@pytest.mark.parametrize(
    "key", ["loud", "--loud", "l", "-l", "no-loud", "LLAMA_ARG_LOUD", "LLAMA_ARG_NO_LOUD"]
)
def test_a_flag_is_found_by_each_spelling(key: str) -> None:
    found = FLAGS.find(key)
    assert found is not None
    assert found.name == "loud"


def test_underscores_are_dashes_except_in_variables() -> None:
    assert FLAGS.find("ctx_size") is FLAGS.find("ctx-size") is not None
    assert FLAGS.find("LLAMA-ARG-LOUD") is None


@pytest.mark.parametrize("key", ["", "-", "LOUD", "louder", "LLAMA_ARG_"])
def test_what_is_no_spelling_is_not_found(key: str) -> None:
    assert FLAGS.find(key) is None


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("no-loud", "true", ("loud", "false")),
        ("LLAMA_ARG_NO_LOUD", "off", ("loud", "true")),
        ("-l", "1", ("loud", "true")),
        ("nkvo", "perhaps", ("kv-offload", "perhaps")),
        ("c", "7", ("ctx-size", "7")),
        ("--unknown_flag", "7", ("unknown-flag", "7")),
    ],
)
def test_an_entry_has_one_canonical_form(key: str, value: str, meant: tuple[str, str]) -> None:
    assert FLAGS.canonical(key, value) == meant


@pytest.mark.parametrize(
    ("key", "successor"), [("old", "use new"), ("--draft", "spec-draft-n-max"), ("loud", None)]
)
def test_removed_flags_have_successors(key: str, successor: str | None) -> None:
    assert FLAGS.successor(key) == successor


def test_whole_numbers_without_bounds_fit_an_int() -> None:
    assert misfit("new", INT_MAX, None, whole=True) is None
    assert misfit("new", INT_MAX + 1, None, whole=True) is not None
    assert misfit("new", 1e30, None, whole=False) is None


# The embedded engine


def test_the_embedded_engines_flags_are_shipped_with_the_same_meaning() -> None:
    for name, flag in EMBEDDED.items():
        known = SHIPPED[name]
        assert (name, flag.type, flag.category) == (name, known.type, known.category)
        assert (name, flag.description) == (name, known.description)
        assert flag.reserved == (shipped_catalogue().find(name) or flag).reserved


def test_the_embedded_engine_tells_every_spelling() -> None:
    catalogue = Catalogue(EMBEDDED.values())
    for key, flag in BY_KEY.items():
        found = catalogue.find(key)
        assert (key, found and found.name) == (key, flag.name)


@pytest.mark.parametrize("flag", TABLE, ids=lambda flag: flag.name)
def test_the_embedded_engine_takes_what_its_parameters_allow(flag: Flag) -> None:
    parameter = EMBEDDED[flag.name]
    limits = parameter.range
    numbers = [limits.min, limits.max] if limits else []
    values = [f"{number:.0f}" for number in numbers if number is not None]
    for value in (*values, *parameter.choices, *WORDS.get(flag.name, ())):
        assert parse([flag.names[-1], value], TABLE)
    if parameter.default:
        assert value_problem(parameter, parameter.default, lambda _: None) is None


def test_bounds_belong_to_flags_that_there_are() -> None:
    for parameter in PARAMETERS:
        if parameter.type not in ("int", "float"):
            assert range_of(parameter.name) is None
