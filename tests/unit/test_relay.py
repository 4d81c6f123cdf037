from __future__ import annotations

from itertools import product
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import replace

from common.api import models
from common.api.models import Failure, Model, ModelStatus
from gateway.relay import model_events

STATUSES: tuple[ModelStatus, ...] = get_args(ModelStatus)
MODEL = Model(
    id="qwen",
    name="qwen.gguf",
    path="/models/qwen.gguf",
    size=100,
    scanner="runner-0@host",
    mtime_ns=1,
    status="unloaded",
)


def told(before: Model | None, after: Model | None) -> list[tuple[str, Any]]:
    return [
        (event.name, msgspec.to_builtins(payload)) for event, payload in model_events(before, after)
    ]


def names(before: Model | None, after: Model | None) -> list[str]:
    return [name for name, _ in told(before, after)]


def in_status(status: ModelStatus) -> Model:
    return replace(MODEL, status=status)


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_each_change_of_status_is_told_once_and_with_what_it_means(
    before: ModelStatus, after: ModelStatus
) -> None:
    expected = []
    if before != after:
        expected.append("models:status")
        if after == "loaded":
            expected.append("models:loaded")
        if (before, after) == ("unloading", "unloaded"):
            expected.append("models:unloaded")
    other_engine = replace(in_status(after), instance_id="other")
    assert names(in_status(before), other_engine) == expected


def test_a_model_that_was_to_be_evicted_and_is_kept_was_not_loaded() -> None:
    leaving = replace(in_status("unloading"), instance_id="same")
    assert names(leaving, replace(leaving, status="loaded")) == ["models:status"]


@pytest.mark.parametrize("status", STATUSES)
def test_a_model_that_appears_tells_its_status_only(status: ModelStatus) -> None:
    assert names(None, in_status(status)) == ["models:status"]


@pytest.mark.parametrize("status", STATUSES)
def test_a_model_that_goes_is_told_as_an_error(status: ModelStatus) -> None:
    ((name, payload),) = told(replace(in_status(status), progress=0.5), None)
    assert name == "models:status"
    assert (payload["id"], payload["status"]) == ("qwen", "error")
    assert payload["reason"] == "the file of qwen is gone"
    assert "progress" not in payload
    assert told(None, None) == []


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "out of memory"},
        {"progress": 0.5},
        {"name": "other.gguf"},
        {"path": "/elsewhere/qwen.gguf"},
        {"size": 200},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_row_shows_is_told_when_it_changes(change: dict[str, Any]) -> None:
    loading = in_status("loading")
    assert names(loading, replace(loading, **change)) == ["models:status"]


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 5},
        {"runner": "runner-1@host", "instance_id": "abc"},
        {"memory_usage": 300},
        {"scanner": "runner-1@host", "mtime_ns": 2},
        {"failure": Failure(code="X", reason="x", message="x")},
        {"loaded_at": "2024-01-15T10:30:00.000Z"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_no_row_shows_is_not_told(change: dict[str, Any]) -> None:
    assert told(MODEL, replace(MODEL, **change)) == []


def test_a_status_event_is_a_list_row_and_its_reason() -> None:
    faulty = replace(MODEL, status="error", reason="the file is truncated")
    assert told(MODEL, faulty) == [
        (
            "models:status",
            {
                "id": "qwen",
                "name": "qwen.gguf",
                "path": "/models/qwen.gguf",
                "size": 100,
                "status": "error",
                "reason": "the file is truncated",
                "parameters": None,
            },
        )
    ]


def test_progress_is_there_only_where_the_engine_tells_it() -> None:
    loading = in_status("loading")
    (_, without), (_, with_progress) = (
        told(MODEL, loading)[0],
        told(loading, replace(loading, progress=0.0))[0],
    )
    assert "progress" not in without
    assert with_progress["progress"] == 0.0
    assert without["reason"] is None


def test_loaded_and_unloaded_name_the_model() -> None:
    assert told(in_status("loading"), in_status("loaded"))[1] == (
        "models:loaded",
        {"modelId": "qwen"},
    )
    assert told(in_status("unloading"), in_status("unloaded"))[1] == (
        "models:unloaded",
        {"modelId": "qwen"},
    )


def test_every_payload_is_of_its_events_type() -> None:
    for before, after in product(STATUSES, STATUSES):
        for event, payload in model_events(in_status(before), in_status(after)):
            assert isinstance(payload, event.payload)
            assert not event.internal
            assert event in (models.STATUS, models.LOADED, models.UNLOADED)
