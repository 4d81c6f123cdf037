from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.api.parameters import Parameter, Range
from common.engine_flags.catalogue import Catalogue, shipped
from common.engine_flags.shipped import SHIPPED
from common.engine_flags.validation import MAX_FINDINGS, Facts, Findings, ModelFacts, validate
from common.engine_flags.values import LONGEST_VALUE, value_problem

GIB = 2**30
FACTS = Facts(
    models={
        # 128 KiB of f16 for each token.
        "small": ModelFacts(context_length=4096, size_bytes=GIB, kv_elements_per_token=65_536),
        "long": ModelFacts(context_length=131_072, size_bytes=4 * GIB),
        "unread": ModelFacts(),
    },
    groups={"l*": ["long"]},
    gpus=False,
    memory_bytes=8 * GIB,
    refuse_path=lambda path: None if path.startswith("/models/") else "it is elsewhere",
)


def check(config: Mapping[str, Mapping[str, str]], facts: Facts = FACTS) -> Findings:
    return validate(config, shipped(), facts)


def one_error(key: str, value: str) -> str:
    found = check({"*": {key: value}})
    (error,) = found.errors
    assert (error.section, error.key, found.warnings) == ("*", key, ())
    assert error.message.startswith(f"[*] {key}: ")
    return error.message


def test_the_pages_examples_are_right() -> None:
    assert check({"*": {"ctx-size": "4096"}}).all == ()
    assert check({"*": {"ctx-size": "4096", "temp": "0.7"}}).all == ()
    (warning,) = check({"*": {"ctx-size": "2048"}}).all
    assert warning.severity == "warning"
    assert warning.message.endswith("consider setting ctx-size to at least 4096")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("c", "4096"), ("LLAMA_ARG_CTX_SIZE", "0"), ("--ctx-size", "4096"), ("ctx_size", "4096")),
        *(("temp", "0"), ("temp", ".5"), ("temp", "1e-1"), ("temperature", "+1")),
        *(("jinja", "off"), ("no-jinja", "true"), ("LLAMA_ARG_NO_JINJA", "1"), ("nkvo", "enabled")),
        *(("fa", "on"), ("fa", "true"), ("fa", "0"), ("fa", "auto"), ("ngl", "auto")),
        *(("spec-type", "none,ngram-mod"), ("seed", "4294967295"), ("threads", "-1")),
        *(("cpu-strict", "1"), ("load-mode", "mmap+mlock"), ("samplers", "top_k;temperature")),
        *(("lora", "/models/a.gguf,/models/b.gguf"), ("lora-scaled", "/models/a.gguf:0.5")),
        *(("md", "/models/draft.gguf"), ("chat-template", "{{ x | y }} ünï"), ("tags", "")),
    ],
)
def test_what_llama_cpp_accepts_is_right(key: str, value: str) -> None:
    assert check({"*": {key: value}}).all == ()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("contxt-size", "1", "no such flag; did you mean ctx-size?"),
        ("LLAMA_ARG_CTX_SIZ", "1", "did you mean LLAMA_ARG_CTX_SIZE?"),
        ("zzzzzzzzzzzz", "1", "no such flag"),
        ("ctx-size", "many", "not a whole number"),
        ("ctx-size", "4096.0", "not a whole number"),
        ("ctx-size", "", "not a whole number"),
        ("ctx-size", " 4096", "not a whole number"),
        ("ctx-size", "4_096", "not a whole number"),
        ("ctx-size", "٤٠٩٦", "not a whole number"),
        ("ctx-size", "1", "0 (the model's own) or a number from 8 to 16777216"),
        ("ctx-size", "-1", "out of range"),
        ("ctx-size", "2147483647", "out of range"),
        ("ctx-size", "9" * 1000, "out of range"),
        ("sleep-idle-seconds", "0", "-1 (never) or a number of at least 1"),
        ("dry-allowed-length", "2147483648", "from -2147483648 to 2147483647"),
        ("ngl", "some", "not a whole number or one of auto, all"),
        ("temp", "hot", "not a number"),
        ("temp", "nan", "not a number"),
        ("temp", "1e999", "not a number"),
        ("temp", "-0.1", "from 0 to 100"),
        ("top-p", "1.5", "from 0 to 1"),
        ("jinja", "maybe", "neither true nor false"),
        ("jinja", "", "neither true nor false"),
        ("fa", "maybe", "not one of on, off, auto"),
        ("split-mode", "true", "not one of none, layer, row"),
        ("cache-type-k", "q9", "not one of f32, f16"),
        ("spec-type", "none,fast", "'fast' is not one of none"),
        ("no-mmap", "true", "removed from llama.cpp; use load-mode"),
        ("mlock", "true", "use load-mode"),
        ("draft", "4", "use spec-draft-n-max"),
        ("host", "::", "cannot be set here, since the runner chooses the address"),
        ("api-key", "x", "cannot be set here"),
        ("tools", "all", "cannot be set here"),
        ("LLAMA_ARG_MODEL", "/models/a", "cannot be set here"),
        ("brand-new-file", "/models/a", "cannot be set here"),
        ("mmproj", "/etc/passwd", "the path '/etc/passwd' is refused: it is elsewhere"),
        ("lora", "/models/a,/etc/passwd", "'/etc/passwd' is refused"),
        ("lora-scaled", "/models/a", "not PATH:SCALE"),
        ("chat-template", "a\nb", "one line without control characters"),
        ("chat-template", "a\0b", "one line without control characters"),
        ("chat-template", "a\u2028b", "one line without control characters"),
        pytest.param("tags", "a" * (LONGEST_VALUE + 1), "at most 65,536", id="long"),
    ],
)
def test_what_is_wrong_is_said(key: str, value: str, said: str) -> None:
    assert said in one_error(key, value)


def test_each_finding_has_its_section_and_key() -> None:
    found = check({"*": {"temp": "x"}, "long": {"c": "100", "host": "x"}, "gone": {}})
    assert [(each.section, each.key, each.severity) for each in found.all] == [
        ("*", "temp", "error"),
        ("long", "host", "error"),
        ("gone", "", "error"),
        ("long", "c", "warning"),
    ]
    assert len(found.errors) == 3
    assert len(found.warnings) == 1


@pytest.mark.parametrize("section", ["*", "small", "l*"])
def test_a_section_is_for_all_for_a_model_or_for_a_group(section: str) -> None:
    assert check({section: {}}).all == ()


def test_a_section_for_nobody_is_an_error() -> None:
    (error,) = check({"smal": {"temp": "1"}}).all
    assert "did you mean small?" in error.message
    assert (error.section, error.key, error.severity) == ("smal", "", "error")


def test_sections_are_not_judged_where_the_models_are_not_known() -> None:
    assert check({"anything": {"temp": "1"}}, Facts()).all == ()


def test_without_a_rule_for_paths_none_is_allowed() -> None:
    assert check({"*": {"lora": "/models/a"}}, Facts()).errors


def test_two_spellings_of_one_flag_are_noticed() -> None:
    (warning,) = check({"*": {"c": "4096", "ctx-size": "8192"}}).all
    assert (warning.key, warning.severity) == ("ctx-size", "warning")
    assert "'c'" in warning.message


# Warnings


def warnings(section: str, facts: Facts = FACTS, **flags: str) -> list[str]:
    named = {name.replace("_", "-"): value for name, value in flags.items()}
    found = check({section: named}, facts)
    assert not found.errors
    return [warning.message for warning in found.warnings]


def test_more_context_than_was_trained_is_worth_a_look() -> None:
    (message,) = warnings("small", ctx_size="4097")
    assert message.startswith("[small] ctx-size: 4097 is above the 4096 tokens that small")
    assert warnings("small", ctx_size="4096") == []
    assert warnings("unread", ctx_size="1000000") == []
    assert "(and 1 more)" in warnings("*", ctx_size="131073")[0]
    assert "long" in warnings("l*", ctx_size="131073")[0]


def test_a_stretched_context_may_be_longer() -> None:
    assert warnings("long", ctx_size="262144", rope_scaling="yarn") == []


def test_a_models_own_context_is_not_held_against_the_section_for_all() -> None:
    found = check({"*": {"ctx-size": "8192"}, "small": {"ctx-size": "4096"}})
    assert found.all == ()


def test_gpu_layers_need_a_gpu() -> None:
    (message,) = warnings("*", ngl="99")
    assert message.startswith("[*] ngl: no runner has a GPU")
    assert warnings("*", ngl="0") == []
    assert warnings("*", ngl="auto") == []
    assert warnings("*", Facts(gpus=True), ngl="99") == []
    assert warnings("*", Facts(), ngl="99") == []


def test_a_context_that_cannot_fit_is_worth_a_look() -> None:
    # 1 GiB of weights and 65,536 times 128 KiB.
    (_, message) = warnings("small", ctx_size="65536")
    assert "with small it takes about 9.0 GiB" in message
    assert len(warnings("small", ctx_size="65536", cache_type_k="q8_0", cache_type_v="q8_0")) == 1
    assert len(warnings("small", Facts(models=FACTS.models), ctx_size="65536")) == 1
    assert warnings("small", ctx_size="0") == []


def test_a_prompt_cache_that_cannot_fit_is_worth_a_look() -> None:
    assert "10.0 GiB are more than the 8.0 GiB" in warnings("*", cache_ram="10240")[0]
    assert warnings("*", cache_ram="-1") == []
    assert warnings("*", Facts(gpus=True, memory_bytes=GIB), cache_ram="10240") == []


# Whatever comes

KEYS = st.one_of(st.sampled_from([*SHIPPED, "no-mmap", "*"]), st.text(max_size=30))
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["0", "1", "-1", "true", "auto", "/models/a", "9" * 400, "1e400", "on"]),
)
SECTIONS = st.one_of(st.sampled_from(["*", "small", "long", "l*"]), st.text(max_size=20))


@given(st.dictionaries(SECTIONS, st.dictionaries(KEYS, VALUES, max_size=8), max_size=4))
def test_any_configuration_can_be_judged(config: dict[str, dict[str, str]]) -> None:
    found = check(config)
    for finding in found.all:
        assert finding.section in config
        assert not finding.key or finding.key in config[finding.section]
        assert finding.message.isprintable()
        assert len(finding.message) < 1000


@given(
    st.builds(
        Parameter,
        name=st.text(max_size=5),
        type=st.sampled_from(["int", "float", "bool", "enum", "path", "string"]),
        choices=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        range=st.one_of(st.none(), st.builds(Range, min=st.floats(), max=st.floats())),
    ),
    st.text(max_size=400),
)
def test_any_value_can_be_judged(parameter: Parameter, value: str) -> None:
    problem = value_problem(parameter, value, lambda _: None)
    assert problem is None or problem


def test_a_flood_of_mistakes_is_judged_in_no_time() -> None:
    config = {"*": {f"mistake-{number}": "x" for number in range(50_000)}}
    assert len(check(config).all) == MAX_FINDINGS


def test_the_engine_in_use_decides_what_there_is() -> None:
    older = Catalogue([Parameter(name="mmap", type="bool", negations=("no-mmap",))])
    assert validate({"*": {"no-mmap": "true"}}, older, Facts()).all == ()
    assert validate({"*": {"ctx-size": "4096"}}, older, Facts()).errors
