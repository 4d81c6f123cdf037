"""The processes, and the clients of the gateways."""

from __future__ import annotations

from typing import Literal

from common.api.base import Change, Command, Empty, Event, Role, Struct
from common.api.bus import ProcessKind
from common.api.models import ModelRow


class GetStatus(Struct, frozen=True):
    """Processes and models; no fields."""


class ProcessStatus(Struct, frozen=True):
    """One process. `hung`: it lives, but nothing was heard of it for some seconds. `gone`: it does
    not, or nobody can tell; it is shown until it returns. `started_at` is ISO-8601 in UTC.
    """

    name: str
    kind: ProcessKind
    host: str
    pid: int
    status: Literal["running", "hung", "gone"]
    started_at: str


class SystemStatus(Struct, frozen=True):
    """All processes that were seen, by name, and all models, by id."""

    processes: tuple[ProcessStatus, ...]
    models: tuple[ModelRow, ...]


class SilentProcess(Struct, frozen=True):
    """A process that lives on its host without being heard."""

    pid: int
    epoch: int


class ClientId(Struct, frozen=True):
    """A Socket.IO client, by its `socket.id`."""

    client_id: str


class RestartProcess(Struct, frozen=True):
    """Which process to start anew, as `system:status` names it; without a host, one of the host of
    the asked gateway.
    """

    process: str


class Restarting(Struct, frozen=True):
    """The process that now ends and is started anew; `system:status` shows its new `startedAt`."""

    process: str


class RestartProgram(Struct, frozen=True):
    """Which program of the asked host's supervisord to start anew."""

    program: str


STATUS = Command(
    "system:status", GetStatus, SystemStatus, Role.VIEWER, "All processes and all models."
)
RESTART = Command(
    "system:restart",
    RestartProcess,
    Restarting,
    Role.ADMIN,
    "Start a process anew, with the configuration as it is now. Engines of a runner go on; a proxy"
    " ends its streams first, or when its drain timeout is over.",
)
RESTART_PROGRAM = Command(
    "system:restart-program",
    RestartProgram,
    Empty,
    Role.ADMIN,
    "Have the host's supervisord start a program anew, right after the answer.",
    internal=True,
)
SILENT = Event(
    "system:silent",
    Change[SilentProcess],
    "A host's metrics process sees one that lives but says nothing.",
    stream="silent",
    internal=True,
)
CONNECTED = Event(
    "client:connected", ClientId, "A client connected; it hears of itself too.", stream="clients"
)
DISCONNECTED = Event("client:disconnected", ClientId, "A client disconnected.", stream="clients")
