"""Reading requests and wording errors: all that needs no socket."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import errors
from gateway.proxy.dialects import OPENAI
from gateway.proxy.errors import (
    RETRY_AFTER_S,
    Refused,
    UpstreamClosed,
    answer_for,
    refusal,
    unexpected,
)
from gateway.proxy.openai import unknown_model
from gateway.proxy.request_body import requested_model, routed
from gateway.proxy.routing import ModelEntry, nearest_ids

IDS = ["qwen2.5-7b-instruct-q4", "qwen2.5-0.5b", "team/Llama-3.1-8B", "mistral-7b", "bge-small"]


def error_of(body: bytes) -> dict[str, Any]:
    decoded = msgspec.json.decode(body)
    assert list(decoded) == ["error"]
    assert list(decoded["error"]) == ["message", "type", "param", "code"]
    error: dict[str, Any] = decoded["error"]
    return error


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model":"m"}', "m"),
        (b' {"messages": [{"model": 1}], "model": "a/b \\u00fc"} \n', "a/b ü"),
    ],
)
def test_the_model_is_found(body: bytes, model: str) -> None:
    assert requested_model(routed(body).model, None) == model


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"model=m", "invalid_json"),
        (b'{"model":"m"', "invalid_json"),
        (b'{"model":"m"} x', "invalid_json"),
        (b'{"model":"\xff"}', "invalid_json"),
        (b"\x1f\x8b\x08", "invalid_json"),
        (b'{"x":' + b"[" * 100_000, "invalid_json"),
        (b"[]", "invalid_body"),
        (b'"m"', "invalid_body"),
        (b"null", "invalid_body"),
        (b"{}", "missing_model"),
        (b'{"model":""}', "missing_model"),
        (b'{"Model":"m"}', "missing_model"),
        (b'{"model":null}', "invalid_model"),
        (b'{"model":["m"]}', "invalid_model"),
    ],
)
def test_a_body_without_a_usable_model_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        requested_model(routed(body).model, None)
    answer = refused.value.answer
    assert (answer.status, answer.kind, answer.code) == (400, "invalid_request_error", code)
    assert '{"model": "my-model"' in answer.message
    assert answer.param == ("model" if code in ("missing_model", "invalid_model") else None)


@given(st.binary(max_size=200))
def test_any_body_names_a_model_or_is_refused(body: bytes) -> None:
    with contextlib.suppress(Refused):
        assert requested_model(routed(body).model, None)


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [
        ("mistral-7", ["mistral-7b"]),
        ("MISTRAL_7B", ["mistral-7b"]),
        ("qwen", ["qwen2.5-0.5b", "qwen2.5-7b-instruct-q4"]),
        ("llama-3.1-8b", ["team/Llama-3.1-8B"]),
        ("team/llama-3.2-8b", ["team/Llama-3.1-8B"]),
        ("gpt-4o", []),
        ("", []),
    ],
)
def test_nearest_ids(wanted: str, nearest: list[str]) -> None:
    assert nearest_ids(wanted, IDS) == nearest


def test_nearest_ids_are_at_most_three_and_never_twice() -> None:
    ids = [f"model-{number}" for number in range(20)]
    found = nearest_ids("model-1", ids)
    assert len(found) == len(set(found)) == 3
    assert found[0] == "model-1"


def test_an_unknown_model_is_answered_with_what_may_have_been_meant() -> None:
    models = [ModelEntry(model_id, 0, "loaded") for model_id in IDS]
    answer = unknown_model("mistral", models).answer
    error = error_of(OPENAI.body(answer))
    assert answer.status == 404
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        "model",
        "model_not_found",
    )
    assert "`mistral`" in error["message"]
    assert "`mistral-7b`" in error["message"]
    assert "/v1/models" in error["message"]


def test_an_unknown_model_is_not_repeated_at_length() -> None:
    assert len(unknown_model("x" * 1_000_000, []).answer.message) < 500
    assert "models directory" in unknown_model("x", []).answer.message


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (errors.InvalidRequest("no"), 400, "invalid_request", False),
        (errors.ModelNotFound("no"), 404, "model_not_found", False),
        (errors.ModelLoadFailed("no"), 503, "model_load_failed", False),
        (errors.Busy("no"), 503, "busy", True),
        (errors.DeadlineExceeded("no"), 503, "deadline_exceeded", True),
        (errors.Unavailable("no"), 503, "unavailable", True),
        (errors.ServerError("no"), 500, "server_error", False),
        (UpstreamClosed("no"), 502, "engine_failed", False),
    ],
)
def test_every_expected_failure_has_its_answer(
    error: errors.ProxyError, status: int, code: str, retry: bool
) -> None:
    answer = answer_for(error)
    assert (answer.status, answer.code) == (status, code)
    expected = ((b"retry-after", b"%d" % RETRY_AFTER_S),) if retry else ()
    assert answer.headers == expected
    assert error_of(OPENAI.body(answer))["type"] == (
        "server_error" if status >= 500 else "invalid_request_error"
    )


def test_a_failed_load_says_its_reason_once() -> None:
    failed = errors.ModelLoadFailed("The engine ended.", {"reason": "out of memory"})
    assert answer_for(failed).message == "The engine ended. Reason: out of memory."
    said = errors.ModelLoadFailed("It ran out of memory.", {"reason": "out of memory"})
    assert answer_for(said).message == "It ran out of memory."


def test_an_error_event_is_one_well_formed_event() -> None:
    event = OPENAI.event(refusal(400, "line\none", "c").answer)
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    assert error_of(event.removeprefix(b"data: "))["message"] == "line\none"


def test_what_nobody_expected_says_nothing_of_the_inside() -> None:
    assert unexpected().status == 500
