"""A thousand model files: all are listed, each can be used, none is read twice."""

from __future__ import annotations

import os
from pathlib import Path

from common.api import models
from deploy.client import ANSWER_S, Client
from tests.support.stack import Stack, running_stack, started_again
from tests.support.tiny_gguf import write_llama
from tests.support.waiting import wait_for

COUNT = 1000
LAST = f"team-9/model-{COUNT - 1}"


def listed(stack: Stack) -> models.ModelList:
    with Client(stack.gateway_url) as client:
        return client.call(models.LIST, models.ListModels(), ANSWER_S)


def test_a_thousand_files_are_listed_and_one_answers(tmp_path: Path) -> None:
    source = write_llama(tmp_path / "source.gguf")
    below = tmp_path / "home" / "models"
    for number in range(COUNT):
        directory = below / f"team-{number % 10}"
        directory.mkdir(parents=True, exist_ok=True)
        os.link(source, directory / f"model-{number}.gguf")
    with running_stack(tmp_path, {}) as stack:
        wait_for(lambda: listed(stack).total == COUNT, 60)
        found = listed(stack)
        assert len({row.id for row in found.models}) == COUNT
        assert {row.status for row in found.models} == {"unloaded"}
        assert stack.cli("chat", LAST, "hello").returncode == 0
        (cache,) = (stack.home / "cache").glob("headers*")
        written_at = cache.stat().st_mtime_ns
    with started_again(stack) as again:
        wait_for(lambda: listed(again).total == COUNT, 60)
        assert cache.stat().st_mtime_ns == written_at
