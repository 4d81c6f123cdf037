from __future__ import annotations

import pytest

from deploy.sse import StreamCut, chunks


def test_chunks_end_at_done_and_other_lines_are_skipped() -> None:
    lines = [
        b": ping",
        b"event: x",
        b'data: {"a": 1}',
        b"",
        b'data:{"b": 2}',
        b"data: [DONE]",
        b"x",
    ]
    assert list(chunks(lines)) == [{"a": 1}, {"b": 2}]


def test_what_came_before_a_cut_is_given() -> None:
    stream = chunks([b'data: {"a": 1}'])
    assert next(stream) == {"a": 1}
    with pytest.raises(StreamCut):
        next(stream)


def test_what_is_not_json_is_an_error() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        list(chunks([b"data: nonsense"]))
