"""The demo model, on a real engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.babble import FOLLOWERS, PROMPT, SPACE, vocabulary
from deploy.demo_model import NAME, write_demo_model
from tests.support.bare_engine import Request, ask
from workers.runner.inventory.gguf_header import read_header

SENTENCES = re.compile(r"([A-Z][a-z]+( [A-Za-z]+){3,9}\.)( [A-Z][a-z]+( [A-Za-z]+){3,9}\.)*")


def chat(text: str, **options: object) -> Request:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 200, **options}
    return "/v1/chat/completions", body


def test_it_is_small_complete_and_always_the_same(tmp_path: Path) -> None:
    paths = [tmp_path / "a.gguf", tmp_path / "b.gguf"]
    for path in paths:
        write_demo_model(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths, "nothing is left beside it"
    header = read_header(paths[0])
    assert header.size_bytes < 1_000_000
    assert not header.truncated
    assert header.text("general.name") == NAME
    assert "babbles" in str(header.text("general.description"))
    assert header.text("tokenizer.chat_template")


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").mkdir()
    with pytest.raises(IsADirectoryError):
        write_demo_model(tmp_path / "m.gguf")
    assert list(tmp_path.iterdir()) == [tmp_path / "m.gguf"]
    with pytest.raises(FileNotFoundError):
        write_demo_model(tmp_path / "nothing" / "m.gguf")


def test_the_grammar_is_consistent() -> None:
    tokens = vocabulary()
    assert len({token.text for token in tokens}) == len(tokens)
    slots = {token.slot for token in tokens}
    assert {slot for slots_ in FOLLOWERS.values() for slot in slots_} | {PROMPT} == slots
    assert all(token.text.lstrip(SPACE).isascii() for token in tokens)


def test_it_chats_in_sentences_and_ends_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "babble.gguf"
    write_demo_model(path)
    questions = ["Hello!", "Wie geht's, 你好 🦙?", "Tell me a story.", ""]
    replies = ask(path, [chat(questions[seed % 4], seed=seed) for seed in range(20)])
    choices = [reply["choices"][0] for reply in replies]
    texts = [choice["message"]["content"] for choice in choices]
    ended = [choice["finish_reason"] == "stop" for choice in choices]
    assert ended.count(True) >= 18
    for text, complete in zip(texts, ended, strict=True):
        assert not complete or SENTENCES.fullmatch(text), text
    assert len(set(texts)) > 15
    tokens = [reply["usage"]["completion_tokens"] for reply in replies]
    assert 10 < sum(tokens) / len(tokens) < 100


def test_the_likeliest_words_end_too(tmp_path: Path) -> None:
    path = tmp_path / "babble.gguf"
    write_demo_model(path)
    (reply,) = ask(path, [chat("Hello!", temperature=0)])
    assert reply["choices"][0]["finish_reason"] == "stop"
