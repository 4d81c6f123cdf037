from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.api.parameters import Parameter, RemovedFlag
from common.engine_flags.help_text import HelpText, parse_help
from common.engine_flags.shipped import SHIPPED
from common.engine_flags.spellings import spellings
from common.engine_flags.values import value_problem
from common.engine_flags.words import is_decimal
from tests.support import fake_llama_server
from tests.support.engine_help import HELP

READ = parse_help(HELP)
FLAGS = {parameter.name: parameter for parameter in READ.parameters}


@pytest.mark.parametrize(
    ("name", "kind", "default", "choices"),
    [
        ("help", "bool", "false", ()),
        ("quick", "int", "-1", ()),
        ("quick-batch", "int", "", ()),
        ("strict", "enum", "0", ("0", "1")),
        ("level", "int", "50", ()),
        ("ctx-size", "int", "0", ()),
        ("loud", "bool", "true", ()),
        ("kv-offload", "bool", "true", ()),
        ("shy", "bool", "false", ()),
        ("no-fun", "bool", "false", ()),
        ("flash-attn", "enum", "auto", ("on", "off", "auto")),
        ("split-mode", "enum", "layer", ("none", "layer", "row")),
        ("cache-kind", "enum", "f16", ("f16", "q8_0", "q4_0")),
        ("mode", "enum", "auto", ("none", "fast+wild", "auto")),
        ("share", "string", "", ()),
        ("put", "string", "", ()),
        ("n-gpu-layers", "int", "auto", ("auto", "all")),
        ("model", "path", "", ()),
        ("hf-repo", "path", "", ()),
        ("notes", "path", "", ()),
        ("greeting", "string", "", ()),
        ("range", "string", "", ()),
        ("order", "string", "one;two;three", ()),
        ("temp", "float", "0.80", ()),
        ("rope-scale", "float", "", ()),
        ("odds", "float", "", ()),
        ("spec-draft-model", "path", "", ()),
        ("spec-kind", "string", "none", ("none", "simple", "clever")),
        ("host", "string", "127.0.0.1", ()),
        ("port", "int", "8080", ()),
        ("pages-default", "bool", "false", ()),
    ],
)
def test_a_flag_has_its_type_default_and_choices(
    name: str, kind: str, default: str, choices: tuple[str, ...]
) -> None:
    flag = FLAGS[name]
    assert (flag.type, flag.default, flag.choices) == (kind, default, choices)


def test_nothing_else_is_read() -> None:
    assert len(FLAGS) == len(READ.parameters) == 31


@pytest.mark.parametrize(
    ("name", "aliases", "negations", "env"),
    [
        ("help", ("h", "usage"), (), None),
        ("quick", ("q",), (), "LLAMA_ARG_QUICK"),
        ("loud", ("l",), ("no-loud",), "LLAMA_ARG_LOUD"),
        ("kv-offload", ("kvo",), ("nkvo", "no-kv-offload"), "LLAMA_ARG_KV_OFFLOAD"),
        ("shy", (), ("ns", "no-shy"), None),
        ("no-fun", (), (), "LLAMA_ARG_NO_FUN"),
        ("n-gpu-layers", ("ngl", "gpu-layers"), (), None),
        ("temp", ("temperature",), (), "LLAMA_ARG_TEMPERATURE"),
        ("spec-draft-model", ("md", "model-draft"), (), None),
        ("hf-repo", ("hf", "hfr"), (), None),
    ],
)
def test_a_flag_has_its_spellings(
    name: str, aliases: tuple[str, ...], negations: tuple[str, ...], env: str | None
) -> None:
    flag = FLAGS[name]
    assert (flag.aliases, flag.negations, flag.env) == (aliases, negations, env)


def test_descriptions_are_unwrapped_and_say_nothing_twice() -> None:
    assert FLAGS["quick"].description == "how quick it is, from slow to quick"
    assert (
        FLAGS["flash-attn"].description == "an attention ('on', 'off', or 'auto', default: 'auto')"
    )
    # A default in words is not a value, so that the description keeps it.
    assert FLAGS["quick-batch"].description.endswith("(default: same as --quick)")


def test_flags_are_grouped_and_have_bounds() -> None:
    assert FLAGS["ctx-size"].category == "Model Settings"
    assert FLAGS["order"].category == "Sampling"
    assert READ.sections["order"] == "sampling"
    limits = FLAGS["ctx-size"].range
    assert limits is not None
    assert (limits.min, limits.max) == (0, 2**24)
    assert FLAGS["quick"].range is None


def test_what_the_help_calls_removed_is_no_flag() -> None:
    assert READ.removed == (
        RemovedFlag(names=("draft", "draft-max"), advice="use --spec-draft-n-max"),
    )
    assert "draft" not in FLAGS


@pytest.mark.parametrize(
    ("text", "recognised"),
    [(HELP, True), (fake_llama_server.HELP, True), ("", False), ("usage: ls [-a] FILE\n", False)],
)
def test_the_help_of_llama_cpp_is_recognised(text: str, recognised: bool) -> None:
    assert parse_help(text).is_llama_cpp is recognised


@given(st.text(alphabet="-,[]{}<>|()'\" :\n=.;defaultNFAME/01a", max_size=400))
def test_no_text_confuses_the_reader(text: str) -> None:
    check(parse_help(text))


@given(st.data())
def test_no_damage_to_a_help_confuses_the_reader(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(HELP)))
    length = data.draw(st.integers(0, 200))
    check(parse_help(HELP[:start] + data.draw(st.text(max_size=20)) + HELP[start + length :]))


def test_long_lines_are_read_in_no_time() -> None:
    check(parse_help("--a" + " a" * 100_000 + "\n" + "-a, " * 100_000 + "\n--b" + " " * 100_000))


def check(read: HelpText) -> None:
    names = [parameter.name for parameter in read.parameters]
    assert len(names) == len(set(names))
    assert all(read.sections.keys() >= {name} for name in names)


@pytest.fixture(scope="module")
def real() -> HelpText:
    program = os.environ.get("TEST_LLAMA_SERVER")
    if not program:
        pytest.skip("TEST_LLAMA_SERVER names no llama-server")
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    return parse_help(shown.stdout)


def test_every_flag_of_a_real_engine_is_understood(real: HelpText) -> None:
    assert real.is_llama_cpp
    assert len(real.parameters) > 200
    every = [spelling for parameter in real.parameters for spelling in spellings(parameter)]
    assert len(every) == len(set(every))
    for parameter in real.parameters:
        check_default(parameter)


def test_the_shipped_catalogue_agrees_with_a_real_engine(real: HelpText) -> None:
    common = [parameter for parameter in real.parameters if parameter.name in SHIPPED]
    assert len(common) > 0.8 * len(real.parameters)
    for parameter in common:
        known = SHIPPED[parameter.name]
        assert (parameter.name, known.type) == (parameter.name, parameter.type)


def check_default(parameter: Parameter) -> None:
    if parameter.default:
        assert value_problem(parameter, parameter.default, lambda _: None) is None, parameter
    if parameter.type in ("int", "float"):
        assert not parameter.default or parameter.choices or is_decimal(parameter.default)
