"""What a stack consists of: its home, its settings and its programs.

Pure: which programs there are follows from the settings and the GPUs alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.devices import Gpu, missing, shown
from common.errors import ConfigInvalid
from common.home import Home
from common.settings import Settings

# supervisord starts lower numbers first; a stop goes the other way, one number after another.
# So whoever takes requests goes first and whoever carries messages goes last.
_CARRIES_MESSAGES = 10
_KEEPS_RECORDS = 20
_RUNS_ENGINES = 30
_TAKES_REQUESTS = 40

_RUNNER = "workers.runner"
_ON_EVERY_HOST = frozenset({_RUNNER, "workers.metrics"})

_STOP_S = 10
_MARGIN_S = 5


@dataclass(frozen=True)
class Program:
    """One supervisord program: `python -m <module>` with home, name and its own arguments.

    `priority` orders starts and stops; `stop_wait_s` is what supervisord waits between TERM and
    KILL, and therefore more than the process's own drain.
    """

    name: str
    module: str
    priority: int
    stop_wait_s: int = _STOP_S
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stack:
    """Everything that `up` and `render` need to know.

    `config` is the file named by --config or LLAMA_PROXY_CONFIG, absolute; None where home's own
    is used.
    """

    home: Home
    config: Path | None
    settings: Settings
    programs: Sequence[Program]

    @property
    def logs(self) -> Path:
        """The directory of log files."""
        return self.home.logs(self.settings)

    @property
    def runner_names(self) -> frozenset[str]:
        """The runners of this stack, as they are called on the backplane."""
        host = self.settings.host.resolved_name()
        return frozenset(
            f"{program.name}@{host}" for program in self.programs if program.module == _RUNNER
        )

    def log_file(self, name: str) -> Path:
        """Where a program's output goes."""
        return self.logs / f"{name}.log"


def stack_programs(settings: Settings, gpus: Iterable[Gpu]) -> tuple[Program, ...]:
    """The programs of one host. Raises ConfigInvalid where a configured GPU is not there."""
    drain_s = int(settings.llama.drain_timeout_seconds) + _MARGIN_S
    runner_stop_s = drain_s + int(settings.runner.stop_grace_seconds)
    runners = [
        Program(
            name,
            _RUNNER,
            _RUNS_ENGINES,
            runner_stop_s,
            ("--devices", ",".join(devices)) if devices else (),
        )
        for name, devices in _runners(settings, list(gpus))
    ]
    programs = (
        Program("backplane", "workers.backplane", _CARRIES_MESSAGES),
        Program("controller", "workers.controller", _KEEPS_RECORDS),
        Program("logs", "workers.logs", _KEEPS_RECORDS),
        Program("metrics", "workers.metrics", _KEEPS_RECORDS),
        *runners,
        Program("gateway", "gateway", _TAKES_REQUESTS),
        *(
            Program(name, "gateway.proxy", _TAKES_REQUESTS, drain_s)
            for name in settings.proxy.names()
        ),
    )
    if settings.backplane.join:
        return tuple(program for program in programs if program.module in _ON_EVERY_HOST)
    return programs


def missing_devices(settings: Settings, gpus: Sequence[Gpu]) -> str:
    """Which GPUs of `[[runners]]` are not there, a line each, with those that are; else empty."""
    return "\n".join(
        f"runners[{index}].devices: {uuid} of {runner.name} is not there; GPUs that are:"
        f" {shown(gpus)}"
        for index, runner in enumerate(settings.runners)
        for uuid in missing(runner.devices, gpus)
    )


def _runners(settings: Settings, gpus: Sequence[Gpu]) -> list[tuple[str, tuple[str, ...]]]:
    """Name and devices of each: as configured, else one per GPU, else one for the CPU."""
    if problem := missing_devices(settings, gpus):
        raise ConfigInvalid(problem)
    if settings.runners:
        return [(runner.name, runner.devices) for runner in settings.runners]
    return [(f"runner-{n}", (gpu.uuid,)) for n, gpu in enumerate(gpus)] or [("runner-cpu", ())]
