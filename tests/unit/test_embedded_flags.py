from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import pytest
import xllamacpp

from workers.runner.embedded.flags import BadArgument, Flag, parse, usage
from workers.runner.embedded.table import BY_KEY, TABLE


def applied(*arguments: str) -> Any:
    params = xllamacpp.CommonParams()
    for setting in parse(arguments, TABLE):
        setting.flag.apply(params, setting.value, xllamacpp)
    return params


def sample(flag: Flag, tmp_path: Path) -> str:
    """A value that is not the default."""
    if flag.choices:
        return flag.choices[0] if flag.default != flag.choices[0] else flag.choices[1]
    if flag.kind in ("integer", "number"):
        return "7"
    if flag.name == "chat-template-kwargs":
        return '{"a": 1}'
    if flag.kind == "list" and flag.value_name and "," in flag.value_name:
        return "3,1"
    path = tmp_path / "file"
    path.write_text("content")
    return str(path)


def everything(params: Any) -> dict[str, object]:
    """All attributes, to any depth."""
    found: dict[str, object] = {}
    for name in dir(params):
        value = getattr(params, name)
        if name.startswith("_") or callable(value):
            continue
        if type(value).__module__.startswith("xllamacpp") and not isinstance(value, int):
            found |= {f"{name}.{inner}": it for inner, it in everything(value).items()}
        else:
            found[name] = value
    return found


@pytest.mark.parametrize("flag", TABLE, ids=operator.attrgetter("name"))
def test_every_flag_changes_something_in_the_engine(flag: Flag, tmp_path: Path) -> None:
    default = everything(xllamacpp.CommonParams())
    for name in flag.names:
        value = [] if flag.value_name is None else [sample(flag, tmp_path)]
        on = everything(applied(name, *value))
        off = everything(applied(flag.negations[0])) if flag.negations else default
        assert (on, off) != (default, default)
        assert on != off


@pytest.mark.parametrize(
    ("arguments", "attribute", "expected"),
    [
        (["-c", "512"], "n_ctx", 512),
        (["--ctx_size", "512"], "n_ctx", 512),
        (["-t", "1", "--threads", "3"], "cpuparams.n_threads", 3),
        (["-ngl", "all"], "n_gpu_layers", -2),
        (["-ngl", "auto"], "n_gpu_layers", -1),
        (["-ngl", "0"], "n_gpu_layers", 0),
        (["--no-kv-offload"], "no_kv_offload", True),
        (["--kv-offload"], "no_kv_offload", False),
        (["--no-warmup"], "warmup", False),
        (["-fa", "1"], "flash_attn_type", 1),
        (["-fa", "disabled"], "flash_attn_type", 0),
        (["-fit", "false"], "fit_params", False),
        (["--seed", "-1"], "sampling.seed", 2**32 - 1),
        (["--temp", "0.5"], "sampling.temp", 0.5),
        (["--temp", "0.5"], "sampling.user_sampling_config", 64),
        (["--host", "::1,127.0.0.1"], "hostnames", ["::1", "127.0.0.1"]),
        (["--api-key", "a,b", "--api-key", "c"], "api_keys", ["a", "b", "c"]),
        (["--alias", "a,b"], "model_alias", {"a", "b"}),
        (["--reranking"], "embedding", True),
        (["--reranking"], "pooling_type", 4),
        (["--reasoning", "off"], "default_template_kwargs", {"enable_thinking": "false"}),
        (["--chat-template-kwargs", '{"a": [1]}'], "default_template_kwargs", {"a": "[1]"}),
        (["-ctk", "q8_0"], "cache_type_k", xllamacpp.ggml_type.GGML_TYPE_Q8_0),
        (["-c", "0"], "fit_params_min_ctx", -1),
    ],
)
def test_values_arrive(arguments: list[str], attribute: str, expected: object) -> None:
    assert everything(applied(*arguments))[attribute] == expected


def test_lists_for_devices_are_filled_up() -> None:
    params = applied("--tensor-split", "3,1", "--fit-target", "512")
    assert params.tensor_split[:3] == [3.0, 1.0, 0.0]
    assert set(params.fit_params_target) == {512 * 1024 * 1024}
    first = applied("--fit-target", "512,256").fit_params_target
    assert first[:3] == [512 * 1024 * 1024, 256 * 1024 * 1024, 1024 * 1024 * 1024]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bogus"], "error: invalid argument: --bogus"),
        (["--no-mmap", "-c", "1"], "error: invalid argument: --no-mmap"),
        (["plain"], "error: invalid argument: plain"),
        (["-c"], 'error while handling argument "-c": expected value for argument'),
        (["-c", "abc"], "error while handling argument \"-c\": 'abc' is not a whole number"),
        (["-c", "-1"], 'error while handling argument "-c": -1 is not between 0 and 2147483647'),
        (["--port", "65536"], 'error while handling argument "--port": 65536 is not between'),
        (["--temp", "nan"], "error while handling argument \"--temp\": 'nan' is not a finite"),
        (["--pooling", "x"], "error while handling argument \"--pooling\": unknown value 'x'"),
        (["--api-key-file", "/nowhere"], "failed to open file '/nowhere': No such file"),
        (["--chat-template-kwargs", "[]"], "'[]' is not a JSON object"),
    ],
)
def test_what_llama_server_refuses_is_refused_alike(arguments: list[str], message: str) -> None:
    with pytest.raises(BadArgument) as caught:
        parse(arguments, TABLE)
    assert message in str(caught.value)


def test_a_refused_value_shows_what_is_allowed() -> None:
    with pytest.raises(BadArgument, match=r"usage:\n--pooling \{none,mean,cls,last,rank\}"):
        parse(["--pooling", "x"], TABLE)


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\n one \n\ntwo\n")
    assert applied("--api-key-file", str(path)).api_keys == ["one", "two"]


def test_no_spelling_stands_for_two_flags() -> None:
    spellings = [name for flag in TABLE for name in flag.names + flag.negations]
    assert len(spellings) == len(set(spellings))
    variables = [flag.variable for flag in TABLE if flag.variable]
    assert len(variables) == len(set(variables))


def test_presets_may_use_any_spelling() -> None:
    for key in ("ngl", "gpu-layers", "n-gpu-layers", "LLAMA_ARG_N_GPU_LAYERS"):
        assert BY_KEY[key].name == "n-gpu-layers"
    assert BY_KEY["no-jinja"].name == "jinja"


def test_help_has_llama_servers_sections_and_layout() -> None:
    lines = usage(TABLE).splitlines()
    sections = [line for line in lines if line.startswith("-----")]
    assert sections == [
        "----- common params -----",
        "----- sampling params -----",
        "----- speculative params -----",
        "----- example-specific params -----",
    ]
    entries = [line for line in lines if line.startswith("-") and line not in sections]
    assert len(entries) == len(TABLE)
    assert (
        "-c, --ctx-size N                        context in tokens, shared by all slots; 0 takes "
        "the model's own (default: 0)"
    ) in entries
    assert all(line.startswith((" " * 40, "-")) for line in lines if line)
