"""Socket.IO: every public command of the catalogue, in both namespaces, with one envelope."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec
import socketio
from msgspec import UNSET
from starlette.types import Scope

from common import timestamps
from common.api.base import Event, Role, Struct
from common.api.envelope import ErrorBody, Refusal, Success
from common.caller import LOCAL, Caller
from common.dispatch import Dispatcher
from common.errors import InvalidRequest, ProxyError
from gateway import socket_json
from gateway.asking import asked_by
from gateway.auth import Access, token_of, token_of_auth
from gateway.clients import Clients
from gateway.library_log import library_logger
from gateway.local import is_local
from gateway.origins import Guard
from gateway.outgoing import Outgoing
from gateway.packets import MAX_PAYLOAD_BYTES, BoundedPacket
from gateway.told import Told

T = TypeVar("T")

logger = logging.getLogger(__name__)

NAMESPACES = ("/", "/llamaproxws")
"""`io(url, {path: "/llamaproxws"})` joins the first, `io(url + "/llamaproxws")` the second."""


MAX_LOGGED_CHARACTERS = 200

EXPEL_AFTER_S = 0.3
ANSWERS_S = 3.0
"""Whoever makes the first token loses their own access by it, but not before they have its text:
what is under way is answered, if that does not take longer."""

EXPEL_CHECK_S = 0.05


@dataclass
class _Grace:
    """The time that is left to a client without access, from `since_s` on."""

    since_s: float
    quiet_since_s: float

    def is_over(self, in_flight: int, now_s: float) -> bool:
        """Whether it has had its answers, and the time to read them."""
        if in_flight and now_s < self.since_s + ANSWERS_S:
            self.quiet_since_s = now_s
            return False
        return now_s >= self.quiet_since_s + EXPEL_AFTER_S


class ClientListener(Protocol):
    """Who wants to know of clients."""

    def client_connected(self, client_id: str) -> None:
        """A client has joined a namespace."""

    def client_disconnected(self, client_id: str) -> None:
        """A client has left it."""


class Sockets:
    """The Socket.IO server of one gateway."""

    def __init__(self, dispatcher: Dispatcher, guard: Guard, access: Access) -> None:
        self._dispatcher = dispatcher
        self._access = access
        self._access_changed = asyncio.Event()
        access.on_change(self._access_changed.set)
        self._clients = Clients()
        self._listeners: list[ClientListener] = []
        self.server = socketio.AsyncServer(
            async_mode="asgi",
            namespaces=list(NAMESPACES),
            cors_allowed_origins=lambda origin, environ: guard.admits_origin(
                origin, environ.get("HTTP_HOST")
            ),
            cors_credentials=False,
            max_http_buffer_size=MAX_PAYLOAD_BYTES,
            serializer=BoundedPacket,
            logger=library_logger(),
            engineio_logger=library_logger(),
            json=socket_json,
        )
        self.outgoing = Outgoing(self.server)
        for namespace in NAMESPACES:
            connected = partial(self._connected, namespace)
            self.server.on("connect", connected, namespace=namespace)
            self.server.on("disconnect", self._disconnected, namespace=namespace)
            for command in dispatcher.commands:
                handler = self._handler(command.name)
                self.server.on(command.name, handler, namespace=namespace)
            self.server.on("*", self._unknown, namespace=namespace)

    def listen(self, listener: ClientListener) -> None:
        """Tell `listener` of clients."""
        self._listeners.append(listener)

    def emit(self, event: Event[Any], payload: Struct) -> None:
        """Send an event to every client, in whichever namespace it is."""
        self.outgoing.send_to_all(Told(event, payload))

    async def expel(self) -> None:
        """Disconnect those whose token was revoked, until cancelled. What they ask from then on is
        refused already.
        """
        while True:
            await self._access_changed.wait()
            self._access_changed.clear()
            graces: dict[str, _Grace] = {}
            while unwelcome := self._clients.without(self._access.still):
                now_s = time.monotonic()
                graces = {one.id: graces.get(one.id, _Grace(now_s, now_s)) for one in unwelcome}
                for client in unwelcome:
                    if graces[client.id].is_over(client.in_flight, now_s):
                        logger.info("client %s ('%s') leaves", client.id, client.caller.name)
                        await self.server.disconnect(client.id, namespace=client.namespace)
                await asyncio.sleep(EXPEL_CHECK_S)

    async def _connected(
        self, namespace: str, sid: str, environ: dict[str, Any], auth: Any = None
    ) -> None:
        try:
            self._clients.enter(sid, namespace, self._identify(environ["asgi.scope"], auth))
        except ProxyError as error:
            logger.warning("client %s is refused: %s: %s", sid, error.code, error.message)
            raise socketio.exceptions.ConnectionRefusedError(
                error.message, {"code": error.code}
            ) from None
        # Not before this handler has returned: the client would drop what comes ahead of the
        # acknowledgement of its connection.
        asyncio.get_running_loop().call_soon(self._joined, sid, namespace)

    def _joined(self, sid: str, namespace: str) -> None:
        if self.outgoing.add(sid, namespace):
            for listener in self._listeners:
                listener.client_connected(sid)

    def _identify(self, scope: Scope, auth: Any) -> Caller:
        if is_local(scope):
            return LOCAL
        caller = self._access.identify(token_of_auth(auth) or token_of(scope["headers"]))
        caller.require(Role.VIEWER, "the Socket.IO API")
        return caller

    async def _disconnected(self, sid: str, _reason: str | None = None) -> None:
        self.outgoing.remove(sid)
        if self._clients.leave(sid):
            for listener in self._listeners:
                listener.client_disconnected(sid)

    def _handler(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def handle(sid: str, *payload: Any) -> Any:
            return await self._answer(name, sid, payload)

        return handle

    async def _unknown(self, name: str, sid: str, *payload: Any) -> Any:
        return await self._answer(name, sid, payload)

    async def _answer(self, name: str, sid: str, payload: tuple[Any, ...]) -> Success | Refusal:
        """The envelope; whether the client asked for it, Socket.IO does not tell us."""
        try:
            with self._clients.request_of(sid) as caller, asked_by(sid):
                self._access.require(caller)
                reply = await self._dispatcher.answer(
                    name, lambda kind: _request(payload, kind), caller
                )
        except ProxyError as error:
            said = (name[:MAX_LOGGED_CHARACTERS], sid, error.code, error.message)
            logger.warning("%s of client %s: %s: %s", *said)
            return Refusal(
                error=ErrorBody(
                    message=error.message,
                    code=error.code,
                    details=error.details if error.details is not None else UNSET,
                ),
                timestamp=timestamps.now(),
            )
        return Success(data=reply, timestamp=timestamps.now())


def _request(payload: tuple[Any, ...], kind: type[T]) -> T:
    if len(payload) != 1 or not isinstance(payload[0], dict):
        given = ", ".join(type(part).__name__ for part in payload) or "nothing"
        raise InvalidRequest(f"the payload must be one object, at least {{}}, but was {given}")
    try:
        return msgspec.convert(payload[0], kind)
    except UnicodeEncodeError as error:
        # JSON's escapes can say half a surrogate pair, which is no text; msgspec falls over it.
        raise InvalidRequest(
            "the payload holds half of a surrogate pair, which is no text"
        ) from error
