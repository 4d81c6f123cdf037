from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.api.parameters import Parameter
from common.engine_flags.catalogue import shipped
from common.engine_flags.help_text import parse_help
from common.engine_flags.reserved import PATH_FLAGS, marked, reserved_reason
from common.engine_flags.shipped import PARAMETERS, SHIPPED
from common.engine_flags.spellings import spellings
from tests.support.engine_help import HELP


@pytest.mark.parametrize(
    "flag",
    [
        # Ours.
        *("host", "port", "reuse-port", "api-prefix", "api-key", "api-key-file", "LLAMA_API_KEY"),
        *("model", "m", "model-url", "mu", "alias", "a", "hf", "hf-repo", "hff", "docker-repo"),
        *("models-dir", "models-preset", "models-max", "no-models-autoload", "ssl-key-file"),
        *("log-file", "log-disable", "log-jsonl", "log-colors", "cors-origins"),
        *("LLAMA_ARG_HOST", "LLAMA_ARG_MODEL", "LLAMA_ARG_STATIC_PATH", "LLAMA_ARG_API_KEY_FILE"),
        # Holes.
        *("tools", "tools-runtime", "mcp-servers-config", "mcp-servers-json", "agent", "ag"),
        *("no-agent", "ui-mcp-proxy", "webui-mcp-proxy", "rpc", "LLAMA_ARG_RPC", "path"),
        *("media-path", "slot-save-path", "lookup-cache-dynamic", "video-ffmpeg-dir", "hft"),
        *("mmproj-url", "spec-draft-hf", "hfrd", "HF_TOKEN", "log-prompts-dir", "ui-config-file"),
        *("gpt-oss-20b-default", "fim-qwen-7b-spec", "embd-gemma-default"),
        # The engine would not serve.
        *("help", "h", "version", "list-devices", "cache-list", "completion-bash"),
        "control-vector-layer-range",
        # As they may be written, too.
        *("--host", "-m", "api_key", "--ssl_key_file"),
    ],
)
def test_what_is_ours_or_opens_a_hole_is_refused(flag: str) -> None:
    assert reserved_reason(flag) is not None


@pytest.mark.parametrize(
    "flag",
    [
        *(
            "ctx-size",
            "c",
            "--ctx_size",
            "n-gpu-layers",
            "temp",
            "jinja",
            "no-jinja",
            "LLAMA_ARG_C",
        ),
        *("threads-http", "tags", "offline", "verbosity", "log-verbosity", "chat-template", "ui"),
        *("max-tokens", "keyframes", "no-mmap", "md", *sorted(PATH_FLAGS)),
    ],
)
def test_what_is_harmless_may_be_set(flag: str) -> None:
    assert reserved_reason(flag) is None


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("brand-new", "/etc/passwd"), ("brand-new", "~/x"), ("brand-new", "http://x/")),
        *(("new-file", "x"), ("new-dir", "x"), ("new-url", "x"), ("webhook-token", "x")),
        *(("LLAMA_ARG_NEW_PATH", "x"), ("model-vocoder", "x"), ("api-key-new", "x")),
        *(("tools-new", "x"), ("models-new", "x"), ("hf-new", "x"), ("ssl-new", "x")),
    ],
)
def test_a_flag_that_is_not_known_must_not_look_like_a_place(flag: str, value: str) -> None:
    assert reserved_reason(flag, value) is not None


@pytest.mark.parametrize("name", ["LORA", "CONTROL_VECTOR", "LOOKUP_CACHE_DYNAMIC", "GRAMMAR_FILE"])
def test_a_flag_goes_by_no_variable_that_llama_cpp_has_not(name: str) -> None:
    assert reserved_reason(f"LLAMA_ARG_{name}", "x") is not None


def test_every_flag_with_a_place_is_refused_unless_it_is_allowed() -> None:
    for parameter in PARAMETERS:
        if parameter.type == "path":
            reserved = reserved_reason(parameter) is not None
            assert (parameter.name, reserved) == (parameter.name, parameter.name not in PATH_FLAGS)


def test_the_allowed_ones_are_flags_with_a_place() -> None:
    assert all(SHIPPED[name].type == "path" for name in PATH_FLAGS)


def test_every_spelling_of_a_flag_is_judged_alike() -> None:
    for parameter in PARAMETERS:
        judged = {reserved_reason(spelling) for spelling in spellings(parameter)}
        assert judged == {reserved_reason(parameter)}


@pytest.mark.parametrize(
    ("flag", "refused"),
    [
        (Parameter(name="brand-new", type="int"), False),
        (Parameter(name="brand-new", type="path"), True),
        (Parameter(name="brand-new", type="string", aliases=("rpc",)), True),
        (Parameter(name="brand-new", type="bool", description="Downloads something"), True),
        (Parameter(name="new-socket", type="string"), True),
        (Parameter(name="lora", type="path"), False),
    ],
)
def test_flags_of_the_engine_in_use_are_judged_by_what_it_says(
    flag: Parameter, refused: bool
) -> None:
    told = marked(flag)
    assert (told.reserved, told.reason is not None) == (refused, refused)


def test_flags_in_a_help_are_judged() -> None:
    refused = {
        parameter.name for parameter in parse_help(HELP).parameters if reserved_reason(parameter)
    }
    assert refused == {"help", "model", "hf-repo", "notes", "host", "port", "pages-default"}


def test_the_shipped_catalogue_is_marked() -> None:
    for parameter in shipped().parameters:
        assert parameter.reserved is (parameter.reason is not None)
        assert parameter.reason == reserved_reason(parameter)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_texts_can_be_judged(flag: str, value: str) -> None:
    reason = reserved_reason(flag, value)
    assert reason is None or reason
