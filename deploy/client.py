"""The CLI's connection to a gateway: the public Socket.IO API, as any client uses it.

Commands and events are the objects of `common.api`; replies come back as their structs and errors
as the exceptions of `common.errors`. The library runs in threads of its own; event handlers are
called there.
"""

from __future__ import annotations

import os
import queue
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec
import socketio

from common import environment
from common.api.base import Command, Event, Struct
from common.errors import DeadlineExceeded, ProxyError, ServerError, Unavailable, from_code
from common.home import Home
from common.settings import Settings
from deploy.addresses import gateway_url
from deploy.failure import CommandFailed, ExitCode

NAMESPACE = "/llamaproxws"
GATEWAY = "gateway"
"""What the gateway of a stack is called."""

_CONNECT_S = 5

ANSWER_S = 15.0
"""Enough for every command that does not load or unload a model, in seconds."""

Req = TypeVar("Req", bound=Struct)
Rep = TypeVar("Rep", bound=Struct)
Payload = TypeVar("Payload", bound=Struct)


class Client:
    """One connection, as a context manager; entering raises CommandFailed if nothing answers, and
    what the gateway refuses it with.

    `token` is shown to the gateway; `own_socket` is taken instead of the network where it is given.
    """

    def __init__(
        self, url: str, *, token: str | None = None, own_socket: Path | None = None
    ) -> None:
        self._url = url
        self._auth = {"token": token} if token else None
        self._own_socket = own_socket
        self._connection = socket.socket(socket.AF_UNIX) if own_socket is not None else None
        self._sio = socketio.Client(
            handle_sigint=False,
            reconnection=False,
            websocket_extra_options={"socket": self._connection} if self._connection else None,
        )
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._refusal: dict[str, Any] | None = None
        self._sio.on("disconnect", self._disconnected, namespace=NAMESPACE)
        self._sio.on("connect_error", self._refused, namespace=NAMESPACE)

    def __enter__(self) -> Client:
        try:
            if self._connection is not None:
                self._connection.settimeout(_CONNECT_S)
                self._connection.connect(str(self._own_socket))
            self._sio.connect(
                self._url,
                auth=self._auth,
                namespaces=[NAMESPACE],
                transports=["websocket"],
                wait_timeout=_CONNECT_S,
            )
        except (socketio.exceptions.ConnectionError, OSError) as error:
            self._sio.disconnect()
            if self._connection is not None:
                self._connection.close()
            if self._refusal is not None:
                raise _refusal_error(self._refusal) from error
            raise CommandFailed(
                f"no gateway answers at {self._url} ({error}); start one with `llama-proxy up`",
                ExitCode.NOT_RUNNING,
            ) from error
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sio.disconnect()
        if self._connection is not None:
            self._connection.close()

    def on(self, event: Event[Payload], handler: Callable[[Payload], None]) -> None:
        """Call `handler` with each payload of `event`, in the library's thread."""

        def convert(payload: Any) -> None:
            handler(msgspec.convert(payload, event.payload))

        self._sio.on(event.name, convert, namespace=NAMESPACE)

    def call(self, command: Command[Req, Rep], request: Req, timeout_s: float) -> Rep:
        """Ask, and wait for the reply.

        Raises what the server answered (`common.errors`), Unavailable if it goes away meanwhile,
        DeadlineExceeded after `timeout_s`. One call at a time.
        """
        self._sio.emit(
            command.name,
            msgspec.to_builtins(request),
            namespace=NAMESPACE,
            callback=lambda *reply: self._answers.put(reply[0] if reply else {}),
        )
        try:
            envelope = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise DeadlineExceeded(f"no answer to {command.name} in {timeout_s:.0f} s") from None
        if envelope is None:
            raise Unavailable(f"the gateway at {self._url} went away during {command.name}")
        if not envelope.get("success"):
            error = envelope.get("error", {})
            raise from_code(error.get("code", ""), error.get("message", "no reason given"))
        try:
            return msgspec.convert(envelope["data"], command.reply)
        except (KeyError, msgspec.ValidationError) as error:
            raise ServerError(f"the answer to {command.name} is not understood: {error}") from error

    def _disconnected(self, *_: object) -> None:
        self._answers.put(None)

    def _refused(self, refusal: Any) -> None:
        if isinstance(refusal, dict):
            self._refusal = refusal


def local_client(home: Home, settings: Settings, token: str | None = None) -> Client:
    """The client for a stack of this machine, as an owner of its home where no token is given."""
    token = token or os.environ.get(environment.BEARER)
    own_socket = home.own_socket(GATEWAY)
    if token or not own_socket.exists():
        return Client(gateway_url(settings), token=token)
    return Client("http://localhost", own_socket=own_socket)


def _refusal_error(refusal: dict[str, Any]) -> ProxyError:
    data = refusal.get("data")
    code = data.get("code", "") if isinstance(data, dict) else ""
    return from_code(str(code), str(refusal.get("message", "no reason given")))
