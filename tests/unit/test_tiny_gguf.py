"""The model files that other tests rely on load in a real engine."""

from __future__ import annotations

from pathlib import Path

from tests.support.bare_engine import Request, ask
from tests.support.tiny_gguf import write_bert, write_llama, write_llama_of_size, write_shards

CHAT: Request = (
    "/v1/chat/completions",
    {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 200},
)


def test_a_llama_that_never_ends(tmp_path: Path) -> None:
    (reply,) = ask(write_llama(tmp_path / "m.gguf", ends=False), [CHAT])
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 200


def test_shards_and_larger_models_load(tmp_path: Path) -> None:
    padded = write_llama(tmp_path / "padded.gguf", padding_tokens=2000)
    large = write_llama_of_size(tmp_path / "large.gguf", 5_000_000)
    assert abs(large.stat().st_size - 5_000_000) < 500_000
    for path in (padded, large, write_shards(tmp_path, "set")[0]):
        (reply,) = ask(path, [CHAT])
        assert reply["choices"][0]["message"]["content"]


def test_embedders_and_rerankers_load(tmp_path: Path) -> None:
    bodies = {"input": ["the old sailor", "a robot"]}
    embedder = write_bert(tmp_path / "embedder.gguf")
    (reply,) = ask(embedder, [("/v1/embeddings", bodies)], "embedding")
    assert [len(entry["embedding"]) for entry in reply["data"]] == [64, 64]
    reranker = write_bert(tmp_path / "reranker.gguf", reranker=True)
    query = {"query": "the old sailor", "documents": ["a robot", "a sailor"]}
    (reply,) = ask(reranker, [("/v1/rerank", query)], "reranking")
    assert sorted(result["index"] for result in reply["results"]) == [0, 1]
