"""What a command, an event and a role are.

A `Command` or an `Event` is written down once, in its domain's module. The same object registers
the Socket.IO handler, travels the backplane, generates docs/api.md and is what tests iterate over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of all that travels: camelCase on the wire, snake_case here, unknown fields refused."""


class Empty(Struct, frozen=True):
    """A request or a reply without fields: `{}`."""


T = TypeVar("T")


class Change(Struct, Generic[T], frozen=True):
    """One row of a table that its owner publishes: it came or changed (`value`) or went (null)."""

    key: str
    value: T | None


class Role(Enum):
    """What a caller may do; each role includes those above it."""

    INFERENCE = "inference"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


Req = TypeVar("Req", bound=Struct)
Rep = TypeVar("Rep", bound=Struct)
Payload = TypeVar("Payload", bound=Struct)


@dataclass(frozen=True)
class Command(Generic[Req, Rep]):
    """One request and its reply.

    `name` is `domain:verb`. `internal` commands travel the backplane between processes and never
    reach a client. `summary` is the first line of its entry in docs/api.md. `misfit` is the code of
    the error for a payload that does not fit `request`.
    """

    name: str
    request: type[Req]
    reply: type[Rep]
    role: Role
    summary: str
    internal: bool = False
    misfit: str = "INVALID_REQUEST"


@dataclass(frozen=True)
class Event(Generic[Payload]):
    """Something that happened, as a bare payload without envelope.

    `stream` is the numbered stream that it travels in on the backplane; every reader of a stream
    sees a gap in it. It is empty where each gateway derives the event from a table it copies.
    """

    name: str
    payload: type[Payload]
    summary: str
    stream: str = ""
    internal: bool = False
