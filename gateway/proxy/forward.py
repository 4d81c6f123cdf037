"""One request, from a model's name to the last byte of its engine's answer."""

from __future__ import annotations

import logging
from typing import NamedTuple

from common.errors import ModelNotFound, ProxyError
from gateway.light_tasks import in_a_task
from gateway.proxy import openai
from gateway.proxy.dialects import Dialect
from gateway.proxy.errors import UpstreamBroken, UpstreamMalformed, engine_refused_us
from gateway.proxy.in_flight import Lease
from gateway.proxy.patience import COMMENT_EVERY_S, comment, telling
from gateway.proxy.relay import Relay
from gateway.proxy.responder import Responder
from gateway.proxy.routing import Place, Router
from gateway.proxy.trace import Trace
from gateway.proxy.upstream import UpstreamResponse
from gateway.proxy.upstreams import Upstreams

logger = logging.getLogger(__name__)

TRIES = 2


class EngineRequest(NamedTuple):
    """What to ask which model's engine, and how to speak to the caller meanwhile.

    `target` is path and query, `fields` are header lines of `headers.caller_fields`. `streams` is
    true where the caller asked for server-sent events.
    """

    model_id: str
    method: str
    target: str
    fields: bytes
    body: bytes
    dialect: Dialect
    streams: bool = False


class Forwarder:
    """Finds the engine, asks it, and passes its answer on."""

    def __init__(
        self, router: Router, upstreams: Upstreams, comment_every_s: float = COMMENT_EVERY_S
    ) -> None:
        self._router = router
        self._upstreams = upstreams
        self._comment_every_s = comment_every_s

    async def forward(self, request: EngineRequest, responder: Responder, trace: Trace) -> None:
        """Answer the caller. Raises `ProxyError` for what the engine did not answer itself."""
        trace.model_id = request.model_id
        lease, response = await self._ask(request, responder, trace)
        try:
            if response.head.status == 401:
                # The caller must not take this for a judgement on its own key.
                raise engine_refused_us()
            relay = Relay(responder, request.dialect, trace, lease.instance_id)
            if not relay.at_once(response):
                await relay.run(response)
        finally:
            response.close()
            lease.release()

    async def _ask(
        self, request: EngineRequest, responder: Responder, trace: Trace
    ) -> tuple[Lease, UpstreamResponse]:
        """Send the request to an instance of the model, and once more where one has just died.

        Nothing of an answer has reached the caller at that point, so the second try cannot show.
        """
        tries_left = TRIES
        while True:
            lease = self._lease(request)
            if lease is None:
                lease = await self._lease_in_turn(request, responder, trace)
            trace.end = "failed"
            trace.asked_at_s = trace.now_s()
            try:
                upstream = self._upstreams.to(lease.address)
                return lease, await upstream.request(
                    request.method, request.target, request.fields, request.body
                )
            except UpstreamBroken as error:
                lease.release()
                logger.warning("instance %s: no answer: %s", lease.instance_id, error)
                tries_left -= 1
                if not tries_left or isinstance(error, UpstreamMalformed):
                    raise
                self._router.suspect(lease.instance_id)
            except BaseException:
                lease.release()
                raise

    def _lease(self, request: EngineRequest) -> Lease | None:
        """An instance, where one is ready."""
        try:
            return self._router.lease(request.model_id)
        except ModelNotFound as error:
            raise self._unknown(request) from error

    async def _lease_in_turn(
        self, request: EngineRequest, responder: Responder, trace: Trace
    ) -> Lease:
        """An instance, from the model's queue."""
        await in_a_task()
        try:
            with self._router.queue(request.model_id) as place:
                trace.queued_at_s = trace.queued_at_s or trace.now_s()
                try:
                    if not request.streams:
                        return await place.lease()
                    return await telling(
                        place.lease(), self._comment_every_s, lambda: _tell(place, responder)
                    )
                finally:
                    trace.loading_since_s = place.loading_since_s
        except ModelNotFound as error:
            raise self._unknown(request) from error

    def _unknown(self, request: EngineRequest) -> ProxyError:
        return openai.unknown_model(request.model_id, self._router.models())


async def _tell(place: Place, responder: Responder) -> None:
    if not responder.started:
        await responder.start_events()
    await responder.body(comment(place.outlook()), more=True)
