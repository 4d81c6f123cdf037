"""What a host and the engines are doing. Bytes are bytes, usage in percent, durations in ms."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from common.api.base import Change, Command, Event, Role, Struct

HISTORY_SECONDS = 3600
DEFAULT_INTERVAL_MS = 10_000
MIN_INTERVAL_MS = 250
MAX_INTERVAL_MS = 3_600_000


class Cpu(Struct, frozen=True):
    """Processor use of the host, 0 to 100, and its number of logical cores."""

    usage: float
    cores: int


class Space(Struct, frozen=True):
    """Used and total bytes, of memory or of the disk that holds the models."""

    used: int
    total: int


class System(Struct, frozen=True):
    """One host as a whole."""

    cpu: Cpu
    memory: Space
    disk: Space


class Gpu(Struct, frozen=True):
    """One GPU. `usage` is the share of time during which it worked; `uuid` names it for good.

    `temperature` is in °C, `power` and the `power_limit` in force in W; null where NVML does not
    say.
    """

    name: str
    usage: float
    memory_used: int
    memory_total: int
    uuid: str = ""
    temperature: float | None = None
    power: float | None = None
    power_limit: float | None = None


class Sample(Struct, frozen=True):
    """What one host's metrics process saw. `timestamp` is ISO-8601 in UTC."""

    host: str
    timestamp: str
    system: System
    gpu: tuple[Gpu, ...]


class Activity(Struct, frozen=True):
    """What one proxy has done. `processed` outlives restarts of the proxy.

    The last requests, up to `gateway.proxy.activity.RECENT`, took `recent_ms` in all.
    """

    active: int
    processed: int
    recent: int
    recent_ms: float


class GetMetrics(Struct, frozen=True):
    """The newest figures; no fields."""


class LlamaMetrics(Struct, frozen=True):
    """What all proxies do together.

    `active_connections`: inference requests under way. `requests_processed`: those that an engine
    has answered to the end. `average_response_time`: from a request's arrival to the last byte of
    its answer, in ms, as the mean of the last 1,000 of each proxy; 0 before the first.
    """

    active_connections: int
    requests_processed: int
    average_response_time: float


class HostGpu(Gpu, frozen=True, kw_only=True):
    """One GPU, and the host it is in."""

    host: str


class HostMetrics(Struct, frozen=True):
    """One host as a whole, as seen at `timestamp` (ISO-8601 in UTC)."""

    host: str
    system: System
    timestamp: str


class Metrics(Struct, frozen=True):
    """The newest figures. `system` and `timestamp` are those of the asked gateway's own host;
    `hosts` has all, by name. `gpu` lists the GPUs of all hosts; it is empty without NVML.
    """

    system: System
    llama: LlamaMetrics
    gpu: tuple[HostGpu, ...]
    timestamp: str
    hosts: tuple[HostMetrics, ...]


class SubscribeMetrics(Struct, frozen=True):
    """How often this client wants `metrics:update`. Hosts are looked at once a second."""

    interval_ms: Annotated[int, Meta(ge=MIN_INTERVAL_MS, le=MAX_INTERVAL_MS)] = DEFAULT_INTERVAL_MS


class UnsubscribeMetrics(Struct, frozen=True):
    """Back to the pace of everybody; no fields."""


class MetricsPace(Struct, frozen=True):
    """How often this client gets `metrics:update` from now on."""

    interval_ms: int


class GetHistory(Struct, frozen=True):
    """How far to look back."""

    seconds: Annotated[int, Meta(ge=1, le=HISTORY_SECONDS)] = HISTORY_SECONDS


class GpuHistory(Struct, frozen=True):
    """One GPU over time: an entry per entry of its host's `times_ms`, null where it was not there
    or did not say. `memory_total` and `power_limit` are the newest.
    """

    uuid: str
    name: str
    memory_total: int
    usage: list[float | None]
    memory_used: list[int | None]
    temperature: list[float | None]
    power: list[float | None]
    power_limit: float | None


class HostHistory(Struct, frozen=True):
    """One host over time, oldest first: an entry per entry of `times_ms` (ms since 1970).

    `cores`, `memory_total` and `disk_total` are the newest.
    """

    host: str
    times_ms: list[int]
    cpu_usage: list[float]
    memory_used: list[int]
    disk_used: list[int]
    cores: int
    memory_total: int
    disk_total: int
    gpu: tuple[GpuHistory, ...]


class InferenceHistory(Struct, frozen=True):
    """What all proxies did, oldest first: an entry per second that began at `times_ms`.

    `in_flight` and `waiting` (for room, a place or the load of a model) are the mean over the
    second, `finished` the requests that ended in it, however they ended. `first_token_ms` and
    `latency_ms` are the mean of those that an engine answered to the end, null where there was
    none.
    `tokens_out` are tokens per second: those of a request are known when it is over, and then count
    evenly over the time in which its answer flowed. So a second may change while requests of it are
    under way. It begins where records or the process `logs` do.
    """

    times_ms: list[int]
    in_flight: list[float]
    waiting: list[float]
    finished: list[int]
    first_token_ms: list[float | None]
    latency_ms: list[float | None]
    tokens_out: list[float]


class History(Struct, frozen=True):
    """Every host that could be asked, by name; and inference in all of them, null while the process
    `logs` does not answer.
    """

    hosts: tuple[HostHistory, ...]
    inference: InferenceHistory | None = None


GET = Command("metrics:get", GetMetrics, Metrics, Role.VIEWER, "The newest figures.")
SUBSCRIBE = Command(
    "metrics:subscribe",
    SubscribeMetrics,
    MetricsPace,
    Role.VIEWER,
    "Give this client `metrics:update` at its own pace, the first at once.",
)
UNSUBSCRIBE = Command(
    "metrics:unsubscribe",
    UnsubscribeMetrics,
    MetricsPace,
    Role.VIEWER,
    "Give this client `metrics:update` every 10 s again, as everybody gets it.",
)
HISTORY = Command(
    "metrics:history",
    GetHistory,
    History,
    Role.VIEWER,
    "The last hour of every host and of inference, once a second.",
)
INFERENCE = Command(
    "metrics:inference",
    GetHistory,
    InferenceHistory,
    Role.VIEWER,
    "The last hour of inference, from the log process.",
    internal=True,
)
UPDATE = Event(
    "metrics:update", Metrics, "The newest figures; see `metrics:subscribe` for how often."
)
SAMPLE = Event(
    "metrics:sample",
    Change[Sample],
    "A host's newest sample, once a second.",
    stream="metrics",
    internal=True,
)
ACTIVITY = Event(
    "metrics:activity",
    Change[Activity],
    "A proxy's counts, once a second at most.",
    stream="activity",
    internal=True,
)
