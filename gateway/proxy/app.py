"""The proxy's HTTP side: one raw ASGI application, from a request's head to its last byte."""

from __future__ import annotations

import functools
import logging

from starlette.types import Receive, Scope, Send

from common.caller import become
from common.errors import ProxyError
from gateway.auth import Access
from gateway.http_exchange import EXCHANGE, Exchange
from gateway.light_tasks import in_a_task
from gateway.origins import Guard
from gateway.proxy import openai
from gateway.proxy.activity import Activity
from gateway.proxy.auth import authenticate
from gateway.proxy.client_watch import ClientWatch
from gateway.proxy.cors import admit, preflight_headers
from gateway.proxy.endpoints import Action, Endpoint, dialect_of, find
from gateway.proxy.errors import ClientGone, RequestCancelled, answer_for, refusal, unexpected
from gateway.proxy.forward import Forwarder
from gateway.proxy.headers import Header
from gateway.proxy.inference import Inference
from gateway.proxy.metering import Metering
from gateway.proxy.model_routes import ModelRoutes
from gateway.proxy.patience import COMMENT_EVERY_S
from gateway.proxy.request import Admitted, Request
from gateway.proxy.request_body import read_body, requested_model, require_type, routed
from gateway.proxy.request_head import RequestHead, announced_bytes
from gateway.proxy.responder import Responder
from gateway.proxy.routing import Router
from gateway.proxy.upstreams import Upstreams

logger = logging.getLogger(__name__)

_LIGHT = (Action.FORWARD, Action.UPSTREAM)
"""What waits for engines. All else asks other processes, with time limits, which need a task."""


class ProxyApp:
    """The ASGI application; run uvicorn with `lifespan="off", ws="none"`, and `HttpProtocol`.

    `guard` says which pages may call, `access` who may, `upstreams` holds the connections and is
    closed by its owner.
    """

    light = True
    """Requests run in light tasks (`gateway.light_tasks`)."""

    def __init__(
        self,
        router: Router,
        upstreams: Upstreams,
        *,
        guard: Guard,
        access: Access,
        max_body_bytes: int = 64 << 20,
        metering: Metering | None = None,
        comment_every_s: float = COMMENT_EVERY_S,
    ) -> None:
        self._models = ModelRoutes(router)
        self._inference = Inference(
            router,
            Forwarder(router, upstreams, comment_every_s),
            metering or Metering("proxy", 0, Activity()),
        )
        self._guard = guard
        self._access = access
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Answer one request."""
        exchange: Exchange = scope[EXCHANGE]
        responder = Responder(exchange)
        try:
            admitted = await self._admit(RequestHead.from_scope(scope), responder)
            if admitted is None:
                return
            if exchange.known is not None:
                exchange.known.kept = functools.partial(self._answer_again, admitted)
            request = Request(admitted, exchange, announced_bytes(scope), self.max_body_bytes)
            await self._serve(request, responder)
        except Exception as error:  # noqa: BLE001 - told, or raised again
            await _fail(error, responder, scope["method"], scope["path"])

    async def _answer_again(self, admitted: Admitted, exchange: Exchange) -> None:
        """Answer a request whose head was let in before, and whose body is all here."""
        responder = Responder(exchange)
        responder.common = admitted.common
        try:
            if admitted.access_epoch != self._access.epoch:
                self._readmit(admitted)
            request = Request(admitted, exchange, None, self.max_body_bytes)
            await self._serve(request, responder)
        except Exception as error:  # noqa: BLE001 - told, or raised again
            await _fail(error, responder, admitted.head.method, admitted.head.path)

    async def _admit(self, head: RequestHead, responder: Responder) -> Admitted | None:
        """Let a request in; None where it is answered already, whoever asks.

        Raises `Refused` and `Unavailable`.
        """
        responder.common = admit(head, self._guard)
        endpoint = find(head.path)
        if endpoint is None:
            raise refusal(404, openai.nothing_at(head.path), "not_found")
        if head.method == "OPTIONS":
            await responder.empty(204, [_allow(endpoint), *preflight_headers(endpoint.methods)])
        elif head.method not in endpoint.methods:
            raise refusal(
                405,
                f"{head.path[:200]} takes {', '.join(endpoint.methods)}, not {head.method}.",
                "method_not_allowed",
                headers=(_allow(endpoint),),
            )
        elif endpoint.action is Action.HEALTH:
            await responder.json(200, {"status": "ok"})
        else:
            epoch = self._access.epoch
            caller = authenticate(head.headers, self._access)
            return Admitted(head, endpoint, responder.common, caller, epoch)
        return None

    def _readmit(self, admitted: Admitted) -> None:
        """Tokens were made or revoked: judge it anew, and what its caller may do as well."""
        epoch = self._access.epoch
        admitted.caller = authenticate(admitted.head.headers, self._access)
        admitted.access_epoch = epoch
        admitted.fields = None

    async def _serve(self, request: Request, responder: Responder) -> None:
        """Answer who was let in; `common.caller.current()` is the caller."""
        action = request.admitted.endpoint.action
        if action not in _LIGHT:
            await in_a_task()
        become(request.admitted.caller)
        match action:
            case Action.FORWARD:
                await self._inference.forward(request, responder)
            case Action.UPSTREAM:
                await self._inference.upstream(request, responder)
            case Action.LIST_MODELS:
                await self._models.list(responder)
            case Action.SHOW_MODEL:
                await self._models.show(request.admitted.head.path, responder)
            case Action.FOLLOW_MODELS:
                with ClientWatch(request.exchange):
                    await self._models.events.stream(responder)
            case Action.LOAD_MODEL:
                await self._models.load(await _named(request), responder)
            case Action.UNLOAD_MODEL:
                await self._models.unload(await _named(request), responder)


async def _fail(error: Exception, responder: Responder, method: str, path: str) -> None:
    """The one place where failures become answers.

    Raises what can no longer be told: the server logs it and closes the connection.
    """
    if isinstance(error, ClientGone):
        logger.debug("%s %s: the client left", method, path)
        return
    if responder.started and not responder.streaming:
        if isinstance(error, RequestCancelled):
            return  # a body that is not whole makes the server close the connection
        raise error
    if isinstance(error, ProxyError):
        answer = answer_for(error)
    else:
        logger.error("%s %s", method, path, exc_info=error)
        answer = unexpected()
    await responder.error(answer, dialect_of(path))


async def _named(request: Request) -> str:
    """The model that a body names."""
    require_type(request.admitted)
    return requested_model(routed(await read_body(request)).model, None)


def _allow(endpoint: Endpoint) -> Header:
    return (b"allow", ", ".join(endpoint.methods).encode("ascii"))
