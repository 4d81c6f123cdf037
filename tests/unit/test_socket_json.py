from __future__ import annotations

import json
from typing import Any

import pytest

from common.api.envelope import ErrorBody, Refusal, Success
from common.api.system import ClientId
from gateway import socket_json


def test_structs_are_written_as_they_are_on_the_wire() -> None:
    reply = Success(data=ClientId(client_id="a"), timestamp="now")
    assert socket_json.loads(socket_json.dumps([reply])) == [
        {"success": True, "data": {"clientId": "a"}, "timestamp": "now"}
    ]


@pytest.mark.parametrize("value", [None, True, 1, -1.5, "ü€𝄞", [], {}, {"a": [1, {"b": None}]}])
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    assert json.loads(socket_json.dumps(value, separators=(",", ":"))) == value


@pytest.mark.parametrize("quoted", ["\ud800", 2**70, -(2**70)])
def test_what_a_client_made_up_can_be_quoted_back(quoted: Any) -> None:
    refusal = Refusal(
        error=ErrorBody(message="no", code="X", details={"given": quoted}), timestamp="now"
    )
    (read,) = json.loads(socket_json.dumps([refusal]))
    assert read["error"]["details"] == {"given": quoted}
    assert "success" in read


def test_what_is_no_json_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        socket_json.loads("{")
