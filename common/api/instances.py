"""Instances: engines that runners run. Internal; an engine's address and key reach no client."""

from __future__ import annotations

from typing import Literal

import msgspec

from common.api.base import Change, Command, Empty, Event, Role, Struct
from common.api.models import Failure

InstanceState = Literal["loading", "ready", "restarting", "stopping", "failed"]


class Instance(Struct, frozen=True):
    """One engine process. A row goes when its engine has ended as it was told to.

    `path` is its model's file and `size` that of all the model's files, in bytes: an engine may
    outlive them.
    `api_key` is the engine's own random key. `memory_bytes` is what the engine holds on its
    devices, or in RAM where it has none. Times are seconds since 1970. A crashed engine is
    `restarting` until its next start. `failed` rows stay until the runner has many of them.
    `slots` is how many requests it works on at a time, null until it has told.
    """

    id: str
    model_id: str
    path: str
    size: int
    runner: str
    state: InstanceState
    host: str
    port: int
    api_key: str
    pid: int
    started_at: float
    ready_at: float | None = None
    memory_bytes: int | None = None
    progress: float | None = None
    failure: Failure | None = None
    preset: str | None = None
    slots: int | None = None


class Device(Struct, frozen=True):
    """One GPU of a runner, with its memory in bytes."""

    uuid: str
    name: str
    memory_total: int
    memory_free: int


class RunnerState(Struct, frozen=True):
    """What a runner has to give: its devices' memory, or the host's RAM where it has none.

    `problem` says in a sentence why it can start no engine; it has nothing to give then.
    """

    name: str
    host: str
    devices: tuple[Device, ...]
    memory_total: int
    memory_free: int
    problem: str | None = None


class StartInstance(Struct, frozen=True):
    """Start an engine. `id` is chosen by the controller, so a repeated start is known as one.

    `size` is that of all the model's files together, in bytes. `flags` are what `preset` says, as
    spelled there; they win over the runner's own `llama.flags`.
    """

    id: str
    model_id: str
    path: str
    size: int
    timeout_s: float
    flags: dict[str, str] = msgspec.field(default_factory=dict)
    preset: str | None = None


class StopInstance(Struct, frozen=True):
    """Which engine to stop; one that is not there counts as stopped."""

    id: str


class DrainInstance(Struct, frozen=True):
    """Send no new request to an instance; answer once none is in flight, or after the timeout."""

    id: str
    timeout_s: float


class Drained(Struct, frozen=True):
    """How many requests of this proxy are still in flight for the instance."""

    in_flight: int


class AskSlots(Struct, frozen=True):
    """Which engine to ask; it has none that are busy where it is not there, or does not tell."""

    id: str


class BusySlots(Struct, frozen=True):
    """How many slots of an engine work on a request, whoever sent it."""

    busy: int


class ResumeInstance(Struct, frozen=True):
    """An instance that was being drained takes requests again."""

    id: str


class Traffic(Struct, frozen=True):
    """A proxy's requests for one instance: how many now, and when the last began or ended."""

    in_flight: int
    last_used_at: float


class Demand(Struct, frozen=True):
    """How many requests wait for a model in a proxy, those included that were told to come back."""

    waiting: int


INSTANCE = Event(
    "instances:instance",
    Change[Instance],
    "A runner's record of an engine.",
    stream="instances",
    internal=True,
)
RUNNER = Event(
    "instances:runner",
    Change[RunnerState],
    "What a runner has to give.",
    stream="runners",
    internal=True,
)
TRAFFIC = Event(
    "instances:traffic",
    Change[Traffic],
    "A proxy's requests in flight, by instance; at most ten times a second.",
    stream="traffic",
    internal=True,
)
DEMAND = Event(
    "instances:demand",
    Change[Demand],
    "A proxy's waiting requests, by model; at most ten times a second, no row where none waits.",
    stream="demand",
    internal=True,
)
START = Command(
    "instances:start", StartInstance, Empty, Role.ADMIN, "Start an engine.", internal=True
)
STOP = Command("instances:stop", StopInstance, Empty, Role.ADMIN, "Stop an engine.", internal=True)
DRAIN = Command(
    "instances:drain",
    DrainInstance,
    Drained,
    Role.ADMIN,
    "Stop sending requests to an instance and wait for those in flight.",
    internal=True,
)
SLOTS = Command(
    "instances:slots",
    AskSlots,
    BusySlots,
    Role.ADMIN,
    "How many requests an engine works on, by its own account.",
    internal=True,
)
RESUME = Command(
    "instances:resume", ResumeInstance, Empty, Role.ADMIN, "Undo a drain.", internal=True
)
