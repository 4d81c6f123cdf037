from __future__ import annotations

import sys
from pathlib import Path

import pytest

from common.errors import ConfigInvalid, ModelLoadFailed
from workers.runner.engine import Engine, arguments, environment, find_engine

ENGINE = Engine("llama-server", ("/opt/llama-server",))
FIRST = ["/opt/llama-server", "--model", "/m/a.gguf", "--host", "127.0.0.1", "--port", "5000"]


def program(directory: Path, name: str = "llama-server") -> Path:
    path = directory / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def typed(flags: dict[str, str]) -> list[str]:
    """What the flags become, behind what is always there."""
    argv = arguments(
        ENGINE,
        model_path="/m/a.gguf",
        host="127.0.0.1",
        port=5000,
        alias=None,
        flags=flags,
    )
    rest = argv[len(FIRST) :]
    assert rest[:2] == ["--metrics", "--slots"]
    return rest[2:]


def test_the_configured_program_is_used(tmp_path: Path) -> None:
    path = program(tmp_path, "my server")
    assert find_engine(str(path), search_path=None) == Engine("llama-server", (str(path),))


def test_a_bare_name_is_looked_up(tmp_path: Path) -> None:
    path = program(tmp_path, "llama-cuda")
    assert find_engine("llama-cuda", search_path=str(tmp_path)).program == (str(path),)


def test_llama_server_on_the_search_path_comes_next(tmp_path: Path) -> None:
    path = program(tmp_path)
    engine = find_engine("", search_path=f"/nowhere:{tmp_path}")
    assert (engine.program, engine.shown) == ((str(path),), str(path))


@pytest.mark.parametrize("search_path", [None, "", "/nowhere"])
def test_the_embedded_engine_is_the_last_resort(search_path: str | None) -> None:
    engine = find_engine("", search_path)
    assert engine.program == (sys.executable, "-m", "workers.runner.embedded")
    assert (engine.kind, engine.shown) == ("embedded", "embedded")


def test_a_configured_program_that_cannot_run_is_an_error(tmp_path: Path) -> None:
    program(tmp_path)  # what is on the search path must not step in for it
    (tmp_path / "text").write_text("")
    for name, wrong in (("absent", "does not exist"), ("text", "chmod +x"), (".", "not a file")):
        with pytest.raises(ModelLoadFailed, match=r"llama\.serverPath") as caught:
            find_engine(f"{tmp_path}/{name}", search_path=str(tmp_path))
        assert wrong in caught.value.message
        assert str(tmp_path / name) in caught.value.message
        assert caught.value.details is not None
        assert caught.value.details["reason"] == "engine_missing"


def test_only_what_is_needed_is_passed() -> None:
    argv = arguments(
        ENGINE, model_path="/m/a.gguf", host="127.0.0.1", port=5000, alias="a", flags={}
    )
    assert argv == [*FIRST, "--alias", "a", "--metrics", "--slots"]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("ctx-size", "4096", ["--ctx-size", "4096"]),
        ("c", "4096", ["-c", "4096"]),
        ("n-predict", "-1", ["--n-predict", "-1"]),
        ("ngl", "99", ["-ngl", "99"]),
        ("--threads", "2", ["--threads", "2"]),
        ("LLAMA_ARG_THREADS", "2", ["--threads", "2"]),
        ("LLAMA_ARG_N_CPU_MOE", "3", ["--n-cpu-moe", "3"]),
        ("parallel", "1", ["--parallel", "1"]),
        ("flash-attn", "on", ["--flash-attn", "on"]),
        ("fa", "true", ["-fa", "true"]),
        ("chat-template", "a b\n'c'", ["--chat-template", "a b\n'c'"]),
        ("jinja", "true", ["--jinja"]),
        ("jinja", "1", ["--jinja"]),
        ("jinja", "off", ["--no-jinja"]),
        ("no-jinja", "true", ["--no-jinja"]),
        ("no-jinja", "false", ["--jinja"]),
        ("nkvo", "on", ["--no-kv-offload"]),
        ("embeddings", "true", ["--embeddings"]),
        ("embeddings", "false", []),
        # Flags that are in llama-server's help only.
        ("-cmoe", "true", ["--cpu-moe"]),
        ("cmoe", "off", []),
        ("no-perf", "true", ["--no-perf"]),
        ("nr", "false", ["--repack"]),
        ("LLAMA_ARG_NO_REPACK", "true", ["--no-repack"]),
        ("ncmoe", "3", ["--n-cpu-moe", "3"]),
        ("cpu_mask", "ff", ["--cpu-mask", "ff"]),
        ("draft-p-min", "0.5", ["--draft-p-min", "0.5"]),
        ("LLAMA_ARG_CHECKPOINT_MIN_SPACING_NT", "0", ["--checkpoint-min-step", "0"]),
        ("lazy-mode", "on", ["--lazy-mode", "on"]),
        # Flags that nobody knows here: a newer llama.cpp may have them.
        ("brand-new", "7", ["--brand-new", "7"]),
        ("brand-new", "on", ["--brand-new", "on"]),
        ("brand-new", "true", ["--brand-new"]),
        ("brand-new", "", ["--brand-new"]),
        ("brand-new", "false", ["--no-brand-new"]),
        ("no-brand-new", "false", ["--brand-new"]),
        ("brand-new", "-7", ["--brand-new", "-7"]),
        ("z", "7", ["-z", "7"]),
        ("-brand", "true", ["-brand"]),
    ],
)
def test_preset_entries_become_arguments(key: str, value: str, expected: list[str]) -> None:
    assert typed({key: value}) == expected


def test_the_order_of_a_preset_is_kept() -> None:
    assert typed({"temp": "0.2", "ctx-size": "512"}) == ["--temp", "0.2", "--ctx-size", "512"]


@pytest.mark.parametrize("key", ["slots", "no-slots", "LLAMA_ARG_ENDPOINT_SLOTS"])
def test_what_a_preset_mentions_is_not_added(key: str) -> None:
    argv = arguments(ENGINE, model_path="m", host="h", port=1, alias=None, flags={key: "false"})
    added = [word for word in argv if word.endswith("slots")]
    assert added == ["--slots" if key.startswith("no-") else "--no-slots"]


@pytest.mark.parametrize(
    "key",
    [
        *("model", "m", "--model", "hf-repo", "LLAMA_ARG_MODEL", "LLAMA_ARG_MODEL_URL"),
        *("host", "port", "ssl-key-file", "LLAMA_ARG_HOST", "LLAMA_ARG_PORT"),
        *("alias", "a", "api-key", "api-key-file", "LLAMA_API_KEY", "LLAMA_ARG_API_KEY_FILE"),
        *("tools", "agent", "rpc", "path", "media-path", "new-file"),
    ],
)
def test_flags_that_are_the_runners_are_refused(key: str) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be set"):
        typed({key: "x"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("metrics", "maybe"), ("", "1"), ("lora", "a\0b"), ("cmoe", "maybe")),
        # Behind a switch these would be flags of their own.
        *(("check-tensors", "--agent"), ("brand-new", "--agent"), ("brand-new", "-hf")),
    ],
)
def test_nonsense_is_refused(key: str, value: str) -> None:
    with pytest.raises(ConfigInvalid):
        typed({key: value})


def test_the_environment_keeps_what_is_the_users_and_drops_what_interferes() -> None:
    base = {
        "PATH": "/bin",
        "LLAMA_PROXY_SERVER__PORT": "3001",
        "LLAMA_ARG_PORT": "1",
        "LLAMA_SERVER_ROUTER_PORT": "1",
        "LLAMA_API_KEY": "the user's own",
        "CUDA_VISIBLE_DEVICES": "0,1",
    }
    env = environment(base, api_key="k", tag="t", device_uuids=None, extra={"HSA_X": "1"})
    assert env == {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "HSA_X": "1",
        "LLAMA_API_KEY": "k",
        "LLAMA_PROXY_ENGINE": "t",
        "GGML_NO_BACKTRACE": "1",
    }
    assert base["LLAMA_ARG_PORT"] == "1"


@pytest.mark.parametrize(
    ("uuids", "visible"), [(["GPU-1", "GPU-2"], "GPU-1,GPU-2"), (["GPU-1"], "GPU-1"), ([], "")]
)
def test_devices_are_pinned_by_uuid_whatever_else_says(uuids: list[str], visible: str) -> None:
    other = {"CUDA_VISIBLE_DEVICES": "7"}
    env = environment(other, api_key="k", tag="t", device_uuids=uuids, extra=other)
    assert env["CUDA_VISIBLE_DEVICES"] == visible
