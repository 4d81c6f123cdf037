"""Every example of docs/api.md is run, in the order of its files, on a stack as the page has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from common.api.catalog import COMMANDS
from deploy.api_page.examples import command_examples
from tests.support.node import run_script
from tests.support.page_stack import page_stack

PUBLIC = sorted(name for name, command in COMMANDS.items() if not command.internal)
RUN_S = 300.0


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The envelope that each example's request was answered with."""
    requests = [
        (name, example.request, example.reply) for name, example in command_examples().items()
    ]
    with page_stack(tmp_path_factory.mktemp("examples")) as stack:
        yield run_script(
            "api_examples.mjs",
            stack.gateway_url,
            stack.proxy_url,
            json.dumps(requests),
            timeout_s=RUN_S,
        )


@pytest.mark.timeout(RUN_S)
@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_is_answered_as_the_contract_says(answers: Any, name: str) -> None:
    answer = answers[name]
    assert answer["success"] is True, answer
    msgspec.convert(answer["data"], COMMANDS[name].reply)
