"""Inference requests: those under way in the proxies, and what every finished one took.

A request is recorded once it is known which model it is for. Those that are refused before that (no
valid token, no such path, a body that names no model) are not, and of none is the content kept. A
record is stored within a second of its request's end.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from common.api.base import Command, Event, Role, Struct
from common.api.logs import Append, Appended

End = Literal["done", "refused", "failed", "cut", "left", "cancelled"]

State = Literal["arriving", "waiting", "asked", "answering"]

MAX_HISTORY = 1_000

RequestId = Annotated[str, Meta(min_length=1, max_length=400)]
Name = Annotated[str, Meta(min_length=1, max_length=1_000)]


class Request(Struct, frozen=True):
    """What is known of every request. Durations are in ms, sizes in bytes.

    `caller` is the name of its token, `everybody` where none is needed. `endpoint` is the path that
    was asked for, `/upstream` for all of that kind. It arrived at `startedAt` (ISO-8601), waited
    `queueMs` for room or a place and `loadMs` for its model to load, and got the first bytes of its
    answer `firstTokenMs` after its arrival, null before. `bytesOut` counts what an engine answered.
    `status` is the HTTP status that the caller saw, 0 where there was none.
    """

    id: str
    model: str
    endpoint: str
    caller: str
    proxy: str
    started_at: str
    queue_ms: float
    load_ms: float
    first_token_ms: float | None
    duration_ms: float
    bytes_in: int
    bytes_out: int
    status: int


class RequestInFlight(Request, frozen=True, kw_only=True):
    """A request that is under way.

    `arriving`: its body is being read, `model` is empty yet. `waiting`: for its model. `asked`: its
    engine was asked. `answering`: the answer flows.
    """

    state: State


class RequestRecord(Request, frozen=True, kw_only=True, gc=False):
    """A finished request. Tokens are as the engine counted them, null where it did not say.

    `promptTokens` include `cachedTokens`, which were in the engine's memory already.
    `tokensPerSecond` is the speed of generation alone.

    `end` is how it ended. `done`: an engine's answer reached its end. `refused`: by the proxy,
    before an engine was asked. `failed`: no engine answered. `cut`: an engine's answer broke off.
    `left`: its caller went away. `cancelled`: by `requests:cancel`.
    """

    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    tokens_per_second: float | None
    end: End


class ListRequests(Struct, frozen=True):
    """Every request under way; no fields."""


class RequestList(Struct, frozen=True):
    """The requests under way in all proxies, oldest first. `silent` are the proxies that did not
    answer in time; theirs are missing.
    """

    requests: tuple[RequestInFlight, ...]
    silent: tuple[str, ...] = ()


class CancelRequest(Struct, frozen=True):
    """Which request to end, as `requests:list` names it."""

    id: RequestId


class CancelledRequest(Struct, frozen=True):
    """The request that was ended; its engine does not work for it any more."""

    id: str


class GetRequests(Struct, frozen=True):
    """Which finished requests to give, `limit` at most: those that began after `since` (ISO-8601),
    of one model, caller, HTTP status or end. `before` is a request's id: only older ones are given.
    """

    limit: Annotated[int, Meta(ge=1, le=MAX_HISTORY)] = 100
    since: str | None = None
    before: RequestId | None = None
    model: Name | None = None
    caller: Name | None = None
    status: Annotated[int, Meta(ge=0, le=599)] | None = None
    end: End | None = None


class RequestHistory(Struct, frozen=True):
    """The newest matching requests in the order in which they began, newest last.

    `more`: there are older ones; they are got with the first one's id as `before`.
    """

    requests: tuple[RequestRecord, ...]
    more: bool


class GetLastUse(Struct, frozen=True):
    """When every model was used last; no fields."""


class LastUse(Struct, frozen=True):
    """Model → when its newest request began that has ended (ISO-8601), of those in the history."""

    models: dict[str, str]


class FinishedRequests(Struct, frozen=True):
    """Requests that have just been stored: the newest of them, in the order in which they ended.
    `omitted` counts the others; `requests:history` has them all.
    """

    requests: tuple[RequestRecord, ...]
    omitted: int = 0


class NumberedRecord(Struct, frozen=True, gc=False):
    """A record on its way to `logs`. `sequence` grows within its proxy's epoch."""

    sequence: int
    record: RequestRecord


class AppendRecords(Append, frozen=True, kw_only=True):
    """A batch of one proxy's records."""

    records: tuple[NumberedRecord, ...]


LIST = Command("requests:list", ListRequests, RequestList, Role.VIEWER, "The requests under way.")
CANCEL = Command(
    "requests:cancel",
    CancelRequest,
    CancelledRequest,
    Role.OPERATOR,
    "End a request that is under way; its caller is told by an error.",
)
HISTORY = Command(
    "requests:history", GetRequests, RequestHistory, Role.VIEWER, "The newest finished requests."
)
LAST_USE = Command(
    "requests:last-use",
    GetLastUse,
    LastUse,
    Role.VIEWER,
    "When each model was used last.",
)
FINISHED = Event(
    "requests:finished",
    FinishedRequests,
    "Requests have ended, and their records are stored.",
    stream="requests",
)
APPEND = Command(
    "requests:append",
    AppendRecords,
    Appended,
    Role.ADMIN,
    "Store records of requests for good.",
    internal=True,
)
