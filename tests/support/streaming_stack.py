"""A stack with two loaded models that stream for ever, and what is done to it as a whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from common.api import models
from deploy.client import Client
from deploy.demo_model import write_demo_model
from tests.support import shown
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.stack import Stack, command_line_of, environment_of, running_stack

ENDLESS = ["one@endless=true,interval_ms=50", "two@endless=true,interval_ms=50"]
SLOW = "slow@load_s=60"
PROGRAMS = {"backplane", "controller", "logs", "metrics", "runner-cpu", "gateway", "proxy"}


def write_models(directory: Path) -> None:
    """The models of the home that `streaming_stack` makes in `directory`."""
    models_dir = directory / "home" / "models"
    models_dir.mkdir(parents=True)
    for name in (*ENDLESS, SLOW):
        write_demo_model(models_dir / f"{name}.gguf")


@contextmanager
def streaming_stack(
    directory: Path, settings: Mapping[str, object] | None = None
) -> Iterator[Stack]:
    """The stack, with both models loaded."""
    quick = {
        "LLAMA__SERVER_PATH": write_fake_llama_server(directory),
        "LLAMA__DRAIN_TIMEOUT_SECONDS": 1,
        "RUNNER__STOP_GRACE_SECONDS": 1,
    }
    with running_stack(directory, {**quick, **(settings or {})}) as running:
        with Client(running.gateway_url) as client:
            for name in ENDLESS:
                client.call(models.LOAD, models.LoadModel(id=name), 30)
        yield running


def right(stack: Stack) -> bool:
    """Whether everything is shown as it should be."""
    told = shown.status(stack.gateway_url)
    return shown.running(told) == PROGRAMS and shown.loaded(told) == set(ENDLESS)


def engine_pids(stack: Stack) -> set[int]:
    """The engines that are alive."""
    return {engine.pid for engine in stack.engines()}


def programs(stack: Stack) -> list[psutil.Process]:
    """Our own processes, without `up` and supervisord."""
    return [p for p in stack.processes() if "--name" in command_line_of(p)]


def program(stack: Stack, name: str) -> psutil.Process:
    """One of them."""
    return next(p for p in programs(stack) if name in command_line_of(p))


def of_stack(stack: Stack) -> list[psutil.Process]:
    """What is alive of it, without the commands of a test."""
    return [
        p
        for p in stack.processes()
        if "LLAMA_PROXY_STACK" in environment_of(p)
        or "LLAMA_PROXY_ENGINE" in environment_of(p)
        or p.pid == stack.up.pid
    ]


def kill_up(stack: Stack) -> None:
    """`up` dies, and supervisord with it."""
    stack.up.kill()
    stack.up.wait()


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """As one blow: none of them can react to the death of another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            # The end of a parent may be the end of its children, stopped or not.
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    psutil.wait_procs(processes, 10)


def kill_all_but_engines(stack: Stack) -> None:
    """Everything at once, except what is to be adopted."""
    engines = engine_pids(stack)
    kill_all([p for p in stack.processes() if p.pid not in engines])


def suspend_all(stack: Stack) -> None:
    """Everything stands still, engines too."""
    for process in stack.processes():
        os.kill(process.pid, signal.SIGSTOP)
