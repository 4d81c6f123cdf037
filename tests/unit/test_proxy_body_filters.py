"""Parameters taken out of and set in requests."""

from __future__ import annotations

import json

import pytest

from gateway.proxy.body_filters import BodyFilter

BODY = (
    b'{"model": "m", "temperature": 0.5, "messages": [{"role": "user", "content": "\\u00e9 1.0"}]}'
)


def test_without_a_filter_the_body_is_the_same_bytes() -> None:
    assert BodyFilter().apply(BODY) is BODY


def test_a_parameter_is_taken_out() -> None:
    assert json.loads(BodyFilter(strip=("temperature", "top_p")).apply(BODY)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "\u00e9 1.0"}],
    }


def test_a_parameter_is_set_whatever_the_caller_says() -> None:
    changed = json.loads(BodyFilter(fixed={"temperature": 0, "seed": 7}).apply(BODY))
    assert (changed["temperature"], changed["seed"]) == (0, 7)


def test_one_that_is_stripped_and_set_is_set() -> None:
    changed = BodyFilter(strip=("temperature",), fixed={"temperature": 1}).apply(BODY)
    assert json.loads(changed)["temperature"] == 1


def test_values_stay_the_bytes_they_were() -> None:
    body = b'{"model":"m","n":1.50,"x":[1e2,"\\u0041"]}'
    assert BodyFilter(fixed={"seed": 1}).apply(body) == (
        b'{"model":"m","n":1.50,"x":[1e2,"\\u0041"],"seed":1}'
    )


def test_the_model_is_never_touched() -> None:
    body = b'{"model":"m"}'
    assert BodyFilter(strip=("model",), fixed={"model": "other"}).apply(body) == body


@pytest.mark.parametrize("body", [b"[1]", b"nonsense", b"", b'{"a":'])
def test_what_is_no_object_is_left_to_the_engine(body: bytes) -> None:
    assert BodyFilter(strip=("a",), fixed={"b": 1}).apply(body) == body
