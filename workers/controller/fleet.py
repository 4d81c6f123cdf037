"""What the controller knows of everybody else: files, runners, engines and traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common.api import instances, inventory
from common.api.instances import Instance, RunnerState, Traffic
from common.api.inventory import ModelFile
from common.bus.bus import Bus
from workers.controller.placement import RunnerView


@dataclass(frozen=True)
class FoundFile:
    """A model's file as each host has it, and which of them the record shows."""

    by_host: Mapping[str, ModelFile]
    scanner: str
    file: ModelFile

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that have the file."""
        return frozenset(self.by_host)

    def on_host_of(self, runner: str) -> ModelFile:
        """The file that a runner can open: another host's may lie elsewhere."""
        return self.by_host.get(host_of(runner), self.file)


def host_of(process: str) -> str:
    """The host in a process's name: `runner-0@host`."""
    return process.partition("@")[2]


class Fleet:
    """Copies of what the other processes publish, kept by the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.files = bus.mirror(inventory.FILE)
        self.instances = bus.mirror(instances.INSTANCE)
        self._runners = bus.mirror(instances.RUNNER, forget_with_owner=True)
        self._traffic = bus.mirror(instances.TRAFFIC, forget_with_owner=True)
        self._demand = bus.mirror(instances.DEMAND, forget_with_owner=True)

    def on_room_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever there may be more room than before."""

        def changed(*_: Any) -> None:
            listener()

        self._runners.on_change(changed)
        self._traffic.on_change(changed)
        self._bus.on_presence(listener)

    def runners(self) -> list[RunnerView]:
        """The runners that are present."""
        present = set(self._bus.present("runner"))
        return [
            RunnerView(state.name, state.host, state.memory_free, state.memory_total, state.problem)
            for state in self._states()
            if state.name in present
        ]

    def has_gpus(self) -> bool | None:
        """Whether any runner has a GPU that it knows of; null before one has told."""
        states = self._states()
        return any(state.devices for state in states) if states else None

    def _states(self) -> list[RunnerState]:
        return [state for _, _, state in self._runners.items()]

    def known(self) -> bool:
        """Whether runners are present and all of them have told their files and engines."""
        runners = self._bus.present("runner")
        return bool(runners) and all(
            self.files.knows(name) and self.instances.knows(name) for name in runners
        )

    def engines_known(self, runner: str) -> bool:
        """Whether a runner is present and has said which engines it has."""
        return runner in self._bus.present("runner") and self.instances.knows(runner)

    def proxies(self) -> list[str]:
        """The proxies that are present, each of which must agree to a drain."""
        return self._bus.present("proxy")

    def file(self, model_id: str) -> FoundFile | None:
        """Where a model's file is, and its description by one of those who found it."""
        found = [(scanner, row) for scanner, key, row in self.files.items() if key == model_id]
        if not found:
            return None
        found.sort(key=lambda entry: entry[0])
        scanner, file = found[0]
        return FoundFile({host_of(name): row for name, row in found}, scanner, file)

    def traffic(self, instance_id: str) -> Traffic:
        """Requests in flight for an instance and its last use, over all proxies."""
        rows = [row for _, key, row in self._traffic.items() if key == instance_id]
        return Traffic(
            in_flight=sum(row.in_flight for row in rows),
            last_used_at=max((row.last_used_at for row in rows), default=0.0),
        )

    def waiting(self, model_id: str) -> int:
        """Requests that wait for a model, over all proxies."""
        return sum(row.waiting for _, key, row in self._demand.items() if key == model_id)

    def engines_of(self, model_id: str) -> list[Instance]:
        """All records of engines of a model, of all runners."""
        return [row for _, _, row in self.instances.items() if row.model_id == model_id]

    def instance(self, instance_id: str) -> Instance | None:
        """A runner's record of an engine."""
        return self.instances.find(instance_id)
