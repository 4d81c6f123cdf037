from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from common.api.models import Model
from tests.support.waiting import until
from workers.controller.desired import Desired, Wanted

MODEL = Model(
    id="qwen",
    name="qwen.gguf",
    path="/models/qwen.gguf",
    size=1,
    scanner="runner-0@h",
    mtime_ns=1,
    status="unloaded",
)


def loaded(preset: str | None) -> Model:
    return msgspec.structs.replace(MODEL, status="loaded", runner="runner-0@h", preset=preset)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "desired.json"


def written(path: Path) -> object:
    return json.loads(path.read_text()) if path.exists() else None


async def test_what_is_loaded_is_remembered_with_its_runner_and_preset(path: Path) -> None:
    desired = Desired(path, preload=[])
    writing = asyncio.create_task(desired.run())
    desired.tell(loaded("small"))
    await until(lambda: written(path) == {"qwen": {"runner": "runner-0@h", "preset": "small"}})
    desired.tell(loaded("big"))
    await until(lambda: written(path) == {"qwen": {"runner": "runner-0@h", "preset": "big"}})
    assert Desired(path, preload=["other"]).pending == {
        "qwen": Wanted("runner-0@h", "big"),
        "other": Wanted(),
    }
    desired.tell(MODEL)
    await until(lambda: written(path) == {})
    writing.cancel()


def test_a_file_of_an_earlier_version_is_understood(path: Path) -> None:
    path.write_text('{"qwen": "runner-0@h", "other": null}')
    assert Desired(path, preload=[]).pending == {"qwen": Wanted("runner-0@h"), "other": Wanted()}


@pytest.mark.parametrize("content", ["{", "[]", '{"qwen": 1}', '{"qwen": {"preset": 7}}'])
def test_a_file_that_cannot_be_read_restores_nothing(path: Path, content: str) -> None:
    path.write_text(content)
    assert Desired(path, preload=["other"]).pending == {"other": Wanted()}
