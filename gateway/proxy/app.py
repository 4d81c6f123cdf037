"""The proxy's HTTP side: one raw ASGI application, from a request's head to its last byte."""

from __future__ import annotations

import logging

from starlette.types import Receive, Scope, Send

from common.caller import Caller, acting
from common.errors import ProxyError
from gateway.auth import Access
from gateway.http_exchange import EXCHANGE, Exchange
from gateway.origins import Guard
from gateway.proxy import openai
from gateway.proxy.activity import Activity
from gateway.proxy.auth import authenticate
from gateway.proxy.client_watch import ClientWatch
from gateway.proxy.cors import admit, preflight_headers
from gateway.proxy.endpoints import Action, dialect_of, find
from gateway.proxy.errors import ClientGone, RequestCancelled, answer_for, refusal, unexpected
from gateway.proxy.forward import Forwarder
from gateway.proxy.headers import Header
from gateway.proxy.inference import Inference
from gateway.proxy.metering import Metering
from gateway.proxy.model_routes import ModelRoutes
from gateway.proxy.patience import COMMENT_EVERY_S
from gateway.proxy.request import Request
from gateway.proxy.request_body import read_body, requested_model, routed
from gateway.proxy.request_head import Fields, RequestHead
from gateway.proxy.responder import Responder
from gateway.proxy.routing import Router
from gateway.proxy.upstreams import Upstreams

logger = logging.getLogger(__name__)


class ProxyApp:
    """The ASGI application; run uvicorn with `lifespan="off", ws="none"`.

    `guard` says which pages may call, `access` who may, `upstreams` holds the connections and is
    closed by its owner.
    """

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. The one place where failures become answers."""
        responder = Responder(send)
        dialect = dialect_of(scope["path"])
        try:
            await self._answer(scope, receive, responder)
        except ClientGone:
            logger.debug("%s %s: the client left", scope["method"], scope["path"])
        except ProxyError as error:
            if responder.started and not responder.streaming:
                if isinstance(error, RequestCancelled):
                    return  # a body that is not whole makes the server close the connection
                raise
            await responder.error(answer_for(error), dialect)
        except Exception:
            if responder.started and not responder.streaming:
                raise  # the server logs it and closes the connection
            logger.exception("%s %s", scope["method"], scope["path"])
            await responder.error(unexpected(), dialect)

    async def _answer(self, scope: Scope, receive: Receive, responder: Responder) -> None:
        exchange: Exchange = scope[EXCHANGE]
        head = RequestHead.from_scope(scope, exchange.kept)
        fields = head.fields
        if fields.cors is None:
            fields.cors = admit(fields, self._guard)
        responder.common = fields.cors
        endpoint = find(head.path)
        if endpoint is None:
            raise refusal(404, openai.nothing_at(head.path), "not_found")
        allow: Header = (b"allow", ", ".join(endpoint.methods).encode("ascii"))
        if head.method == "OPTIONS":
            await responder.empty(204, [allow, *preflight_headers(endpoint.methods)])
        elif head.method not in endpoint.methods:
            raise refusal(
                405,
                f"{head.path[:200]} takes {', '.join(endpoint.methods)}, not {head.method}.",
                "method_not_allowed",
                headers=(allow,),
            )
        elif endpoint.action is Action.HEALTH:
            await responder.json(200, {"status": "ok"})
        else:
            with acting(self._identify(fields)):
                request = Request(endpoint, head, exchange, receive, self.max_body_bytes)
                await self._serve(request, responder)

    def _identify(self, fields: Fields) -> Caller:
        """Whose request it is. Raises `Refused` and `Unavailable`, see `authenticate`."""
        epoch = self._access.epoch
        if fields.caller is None or fields.access_epoch != epoch:
            fields.caller = authenticate(fields, self._access)
            fields.access_epoch = epoch
        return fields.caller

    async def _serve(self, request: Request, responder: Responder) -> None:
        """Answer who was let in; `common.caller.current()` is the caller."""
        match request.endpoint.action:
            case Action.FORWARD:
                await self._inference.forward(request, responder)
            case Action.UPSTREAM:
                await self._inference.upstream(request, responder)
            case Action.LIST_MODELS:
                await self._models.list(responder)
            case Action.SHOW_MODEL:
                await self._models.show(request.head.path, responder)
            case Action.FOLLOW_MODELS:
                with ClientWatch(request.exchange):
                    await self._models.events.stream(responder)
            case Action.LOAD_MODEL:
                await self._models.load(await _named(request), responder)
            case Action.UNLOAD_MODEL:
                await self._models.unload(await _named(request), responder)


async def _named(request: Request) -> str:
    """The model that a body names."""
    return requested_model(routed(await read_body(request)).model, None)
