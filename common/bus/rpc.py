"""Requests between processes: one DEALER per process, whose routing id is the process's name.

A caller repeats a request with the same id until it is answered or its deadline has passed; the
receiver remembers what it answered, so a request is carried out once however often it arrives.

On the backplane's own host the routing id is enough. A process of another host has none (whoever
takes a name there could take anybody's): it puts its name before each frame, where the switch
compares it with the host's key. So the switch knows a new connection once it has spoken; every
process asks itself something at once, and again each second.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import TypeVar

import zmq
import zmq.asyncio

from common.api.base import Command, Struct
from common.bus import wire
from common.bus.fleet_clock import FleetClock
from common.bus.remembered import Answer, Remembered
from common.bus.security import Credentials
from common.bus.wire import Kind, WireError
from common.caller import PROCESS
from common.dispatch import Dispatcher
from common.errors import (
    Busy,
    DeadlineExceeded,
    InvalidRequest,
    ProxyError,
    ServerError,
    Unavailable,
    from_code,
)

logger = logging.getLogger(__name__)

Req = TypeVar("Req", bound=Struct)
Rep = TypeVar("Rep", bound=Struct)

HIGH_WATER_MARK = 2000
MAX_CALLS_IN_FLIGHT = 512  # per target; far below the mark, so that a send never meets it
MAX_SERVED_AT_ONCE = 512
REPEAT_S = 1.0
UNAVAILABLE_PAUSE_S = 0.05
UNAVAILABLE_PATIENCE_S = 1.0
MAX_PLAIN_MESSAGE_CHARACTERS = 10_000


class _Retry(Exception):
    """It could not be sent or delivered; `error` is what to raise once patience ends."""

    def __init__(self, error: ProxyError) -> None:
        super().__init__(str(error))
        self.error = error


class Endpoint:
    """One process's place on the request switch: calls others, answers through `dispatcher`."""

    def __init__(
        self,
        context: zmq.asyncio.Context,
        address: str,
        name: str,
        epoch: int,
        dispatcher: Dispatcher,
        clock: FleetClock,
        credentials: Credentials | None = None,
    ) -> None:
        self._name = name
        self._clock = clock
        self._dispatcher = dispatcher
        self._ids = (f"{epoch:x}.{n:x}".encode() for n in itertools.count(1))
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._in_flight: dict[str, int] = {}
        self._under_way: set[tuple[bytes, bytes]] = set()
        self._answered = Remembered()
        self.garbage_frames = 0
        self._context = context
        self._address = address
        self._credentials = credentials
        self._signature = [] if credentials is None else [name.encode()]
        self._socket = self._connect()

    def _connect(self) -> zmq.asyncio.Socket:
        connection = self._context.socket(zmq.DEALER)
        connection.setsockopt(zmq.LINGER, 0)
        connection.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        connection.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        connection.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE_BYTES)
        connection.setsockopt(zmq.RECONNECT_IVL, 10)
        connection.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        if self._credentials is None:
            connection.setsockopt(zmq.ROUTING_ID, self._name.encode())
        else:
            self._credentials.apply(connection)
        connection.connect(self._address)
        return connection

    def reconnect(self) -> None:
        """Join the switch anew.

        Should another process have taken our name for a while, the switch sends nothing to the old
        connection any more, and nothing tells us so.
        """
        old, self._socket = self._socket, self._connect()
        old.close(linger=0)

    def close(self) -> None:
        """Leave the switch; calls in flight raise `Unavailable`."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable("this process is stopping"))
        self._socket.close(linger=0)

    async def call(
        self, target: str, command: Command[Req, Rep], request: Req, *, timeout_s: float = 5.0
    ) -> Rep:
        """Ask `target` and wait for its reply, `timeout_s` at most.

        Raises what the target's handler raised (by code), `Unavailable` where the target is not
        connected for a second, `Busy` at a limit, `DeadlineExceeded` without any answer,
        `InvalidRequest` where the request cannot be sent.
        """
        if self._in_flight.get(target, 0) >= MAX_CALLS_IN_FLIGHT:
            raise Busy(f"{MAX_CALLS_IN_FLIGHT} requests to {target} are under way already")
        request_id = next(self._ids)
        try:
            body = wire.encode(
                wire.Request(command.name, self._clock.deadline(timeout_s), wire.raw(request)),
            )
        except WireError as error:
            raise InvalidRequest(f"{command.name}: {error}") from error
        frames = [target.encode(), wire.pack_head(Kind.REQUEST, request_id), body]
        self._in_flight[target] = self._in_flight.get(target, 0) + 1
        try:
            async with asyncio.timeout(timeout_s):
                data = await self._exchange(request_id, frames)
        except TimeoutError:
            message = f"{target} did not answer {command.name} within {timeout_s:g} s"
            raise DeadlineExceeded(message) from None
        finally:
            self._waiting.pop(request_id, None)
            self._in_flight[target] -= 1
            if not self._in_flight[target]:
                del self._in_flight[target]
        try:
            return wire.decode(data, command.reply)
        except WireError as error:
            message = f"{target} answered {command.name} with something else: {error}"
            raise ServerError(message) from error

    async def _exchange(self, request_id: bytes, frames: list[bytes]) -> bytes:
        """Send until there is an answer: again each second, and soon while nobody is there."""
        loop = asyncio.get_running_loop()
        patience_ends: float | None = None
        while True:
            future: asyncio.Future[bytes] = loop.create_future()
            self._waiting[request_id] = future
            try:
                async with asyncio.timeout(REPEAT_S) as repeat:
                    await self._send(frames)
                    return await future
            except TimeoutError:
                if not repeat.expired():
                    raise
                patience_ends = None
            except _Retry as retry:
                if patience_ends is None:
                    patience_ends = loop.time() + UNAVAILABLE_PATIENCE_S
                elif loop.time() > patience_ends:
                    raise retry.error from None
                await asyncio.sleep(UNAVAILABLE_PAUSE_S)

    async def _send(self, frames: list[bytes]) -> None:
        try:
            await self._socket.send_multipart([*self._signature, *frames], zmq.DONTWAIT)
        except zmq.Again:
            raise _Retry(Busy("the connection to the backplane is cut or full")) from None

    async def run(self) -> None:
        """Receive until cancelled. A frame of garbage is counted and dropped."""
        async with asyncio.TaskGroup() as handlers:
            while True:
                frames = await self._receive()
                try:
                    sender, head_frame, body = frames
                    head = wire.unpack_head(head_frame)
                    if head.kind is Kind.REQUEST:
                        self._receive_request(handlers, sender, head.id, body)
                    else:
                        self._receive_answer(sender, head, body)
                except (ValueError, WireError) as error:
                    self.garbage_frames += 1
                    logger.warning("dropped a frame of garbage: %s", error)

    async def _receive(self) -> list[bytes]:
        while True:
            try:
                return await self._socket.recv_multipart()
            except asyncio.CancelledError:
                # Closing a connection cancels the wait for it, but not this task.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise

    def _receive_answer(self, sender: bytes, head: wire.Head, body: bytes) -> None:
        future = self._waiting.get(head.id)
        if future is None or future.done():
            return  # a late or repeated answer
        target = sender.decode(errors="replace")
        if head.kind is Kind.REPLY:
            future.set_result(body)
        elif head.kind is Kind.FAILURE:
            failure = wire.decode(body, wire.Failure)
            future.set_exception(from_code(failure.code, failure.message, failure.details))
        elif head.kind is Kind.UNAVAILABLE:
            message = f"{target} is not connected to the backplane"
            future.set_exception(_Retry(Unavailable(message, {"process": target})))
        else:
            future.set_exception(_Retry(Busy(f"{target} takes no more requests just now")))

    def _receive_request(
        self, handlers: asyncio.TaskGroup, sender: bytes, request_id: bytes, body: bytes
    ) -> None:
        key = (sender, request_id)
        if key in self._under_way:
            return  # asked again while we are at it
        answer = self._answered.find(key, time.monotonic())
        if answer is not None:
            handlers.create_task(self._reply(sender, answer))
            return
        request = wire.decode(body, wire.Request)
        if self._clock.has_passed(request.deadline):
            return  # the caller has given up; it may have asked elsewhere since
        if len(self._under_way) >= MAX_SERVED_AT_ONCE:
            busy = Answer(wire.pack_head(Kind.BUSY, request_id), b"")
            handlers.create_task(self._reply(sender, busy))
            return
        self._under_way.add(key)
        handlers.create_task(self._serve(sender, request_id, request))

    async def _serve(self, sender: bytes, request_id: bytes, request: wire.Request) -> None:
        key = (sender, request_id)
        try:
            answer = await self._answer(request_id, request)
        finally:
            self._under_way.discard(key)
        self._answered.keep(key, answer, time.monotonic())
        await self._reply(sender, answer)

    async def _answer(self, request_id: bytes, request: wire.Request) -> Answer:
        try:
            reply = await self._dispatcher.answer(
                request.name, lambda kind: wire.decode(request.body, kind), PROCESS
            )
            return Answer(wire.pack_head(Kind.REPLY, request_id), wire.encode(reply))
        except WireError as error:
            failure = wire.Failure(ServerError.code, f"the reply cannot be sent: {error}")
        except ProxyError as error:
            failure = wire.Failure(error.code, error.message, error.details)
        return Answer(wire.pack_head(Kind.FAILURE, request_id), _encode_failure(failure))

    async def _reply(self, sender: bytes, answer: Answer) -> None:
        try:
            await self._send([sender, answer.head, answer.body])
        except _Retry:
            target = sender.decode(errors="replace")
            logger.warning("no room for an answer to %s; it will ask again", target)


def _encode_failure(failure: wire.Failure) -> bytes:
    """The failure; without its details and with a plain message where it could not travel."""
    try:
        return wire.encode(failure)
    except WireError:
        message = failure.message[:MAX_PLAIN_MESSAGE_CHARACTERS]
        plain = message.encode(errors="backslashreplace").decode()
        return wire.encode(wire.Failure(failure.code, plain))
