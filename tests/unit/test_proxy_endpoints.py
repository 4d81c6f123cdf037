"""The table of paths, and the model within `/upstream/…`."""

from __future__ import annotations

import pytest

from gateway.proxy.dialects import ANTHROPIC, OPENAI, RESPONSES
from gateway.proxy.endpoints import PATHS, Action, changes_engine, dialect_of, find
from gateway.proxy.upstream_path import UpstreamPath, split, wanted

IDS = {"qwen", "qwen/7b", "dir/with space", "a/b/c"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/upstream/qwen", UpstreamPath("qwen", "")),
        ("/upstream/qwen/", UpstreamPath("qwen", "/")),
        ("/upstream/qwen/props", UpstreamPath("qwen", "/props")),
        ("/upstream/qwen/7b/v1/models", UpstreamPath("qwen/7b", "/v1/models")),
        ("/upstream/qwen%2F7b/x", UpstreamPath("qwen/7b", "/x")),
        ("/upstream/dir/with%20space/x%20y", UpstreamPath("dir/with space", "/x%20y")),
        ("/upstream/a/b", None),
        ("/upstream/", None),
    ],
)
def test_the_longest_known_id_counts(path: str, expected: UpstreamPath | None) -> None:
    assert split(path, IDS.__contains__) == expected


def test_an_unknown_model_is_called_by_what_was_written() -> None:
    assert wanted("/upstream/no%20such/props") == "no such/props"


def test_every_engine_path_is_there_with_and_without_its_prefix() -> None:
    for path in ("chat/completions", "responses", "embeddings", "rerank", "reranking"):
        assert find(f"/{path}") == find(f"/v1/{path}") is not None


def test_nothing_is_changed_by_a_get() -> None:
    changing = {Action.LOAD_MODEL, Action.UNLOAD_MODEL}
    assert all("GET" not in at.methods for at in PATHS.values() if at.action in changing)


@pytest.mark.parametrize(
    ("method", "path", "changes"),
    [
        ("POST", "/v1/chat/completions", False),
        ("POST", "/tokenize", False),
        ("GET", "/slots", False),
        ("GET", "/anything", False),
        ("POST", "/lora-adapters", True),
        ("POST", "/slots/0", True),
        ("POST", "/props", True),
        ("PUT", "/v1/chat/completions/", True),
        ("POST", "/v1%2Fchat/completions", True),
    ],
)
def test_what_may_change_an_engine_for_everybody(method: str, path: str, changes: bool) -> None:
    assert changes_engine(method, path) == changes


def test_errors_are_told_in_the_callers_dialect() -> None:
    assert dialect_of("/v1/messages/count_tokens") is ANTHROPIC
    assert dialect_of("/v1/messages/no-such") is ANTHROPIC
    assert dialect_of("/v1/responses") is RESPONSES
    assert dialect_of("/nothing") is OPENAI


@pytest.mark.parametrize("path", ["/v1", "/", "/v1/models", "/upstream", "/metrics", "/tools"])
def test_other_paths(path: str) -> None:
    found = find(path)
    assert (found is None) == (path != "/v1/models")
