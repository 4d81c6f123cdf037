"""Requests for engines: which model each is for, and what its engine gets of it."""

from __future__ import annotations

from common.api.base import Role
from common.caller import Caller
from gateway.proxy import form, openai, upstream_path
from gateway.proxy.endpoints import changes_engine
from gateway.proxy.forward import EngineRequest, Forwarder
from gateway.proxy.headers import caller_fields
from gateway.proxy.metering import Metering
from gateway.proxy.request import Admitted, Request
from gateway.proxy.request_body import (
    Routed,
    body_at_hand,
    read_body,
    requested_model,
    require_plain,
    require_type,
    routed,
)
from gateway.proxy.request_head import query_value, with_query
from gateway.proxy.responder import Responder
from gateway.proxy.routing import Router
from gateway.proxy.trace import Trace

_NOT_PASSED_ON = frozenset((b"accept-encoding", b"content-type"))


class Inference:
    """Reads them, meters them and passes them on."""

    def __init__(self, router: Router, forwarder: Forwarder, metering: Metering) -> None:
        self._router = router
        self._forwarder = forwarder
        self._metering = metering

    async def forward(self, request: Request, responder: Responder) -> None:
        """To the engine of the model that the body names, or the query."""
        admitted = request.admitted
        head = admitted.head
        if admitted.fields is None:
            _require_role(admitted.caller, head.method, head.path)
            if head.method == "POST":
                require_type(admitted)
            admitted.fields = _fields(admitted)
        trace = Trace(head.path, admitted.caller.name)
        with self._metering.request(request.exchange, trace, responder):
            body = b"" if head.method != "POST" else body_at_hand(request)
            if body is None:
                body = await read_body(request)
            trace.bytes_in = len(body)
            model, streams = _asked(admitted, body)
            model_id = self._router.resolve(model)
            if not admitted.endpoint.takes_form:
                body = self._router.body_filter(model_id).apply(body)
            await self._forwarder.forward(
                EngineRequest(
                    model_id,
                    head.method,
                    head.target,
                    admitted.fields,
                    body,
                    admitted.endpoint.dialect,
                    streams,
                ),
                responder,
                trace,
            )

    async def upstream(self, request: Request, responder: Responder) -> None:
        """To the engine of the model that the path names: whatever it serves."""
        head = request.admitted.head
        found = upstream_path.split(head.raw_path, self._router.knows)
        if found is None:
            wanted = upstream_path.wanted(head.raw_path)
            raise openai.unknown_model(wanted, self._router.models())
        if not found.path:
            # Pages of engines name their parts relative to themselves.
            await responder.empty(308, [(b"location", f"{head.raw_path}/".encode("latin-1"))])
            return
        _require_role(request.admitted.caller, head.method, found.path)
        require_plain(request.admitted)
        trace = Trace("/upstream", request.admitted.caller.name)
        with self._metering.request(request.exchange, trace, responder):
            body = await read_body(request)
            trace.bytes_in = len(body)
            await self._forwarder.forward(
                EngineRequest(
                    self._router.resolve(found.model_id),
                    head.method,
                    with_query(found.path, head.query),
                    caller_fields(head.headers),
                    body,
                    request.admitted.endpoint.dialect,
                ),
                responder,
                trace,
            )


def _asked(admitted: Admitted, body: bytes) -> tuple[str, bool]:
    """Which model a request is for, and whether it asks for a stream. Raises `Refused`."""
    head = admitted.head
    named = query_value(head.query, "model") if head.query else None
    if head.method != "POST":
        return requested_model("", named), False
    if admitted.endpoint.takes_form:
        return requested_model(form.model_of(body, head.content_type), named), False
    said = routed(body) if named is None or _is_object(body) else Routed()
    return requested_model(said.model, named), said.stream is True


def _require_role(caller: Caller, method: str, path: str) -> None:
    """Everybody who was let in may ask engines. Raises `PermissionDenied` for all else."""
    if changes_engine(method, path):
        caller.require(Role.OPERATOR, f"{method} {path} of an engine")


def _is_object(body: bytes) -> bool:
    return body[:64].lstrip()[:1] == b"{"


def _fields(admitted: Admitted) -> bytes:
    """The header lines for an engine.

    Bodies are sent as what they were found to be, whatever the caller calls them. Without
    Accept-Encoding answers stay uncompressed: an event may have to be added to a stream.
    """
    head = admitted.head
    lines = caller_fields(header for header in head.headers if header[0] not in _NOT_PASSED_ON)
    if head.method != "POST":
        return lines
    kind = head.content_type if admitted.endpoint.takes_form else b"application/json"
    return lines + b"content-type: %b\r\n" % kind
