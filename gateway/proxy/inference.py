"""Requests for engines: which model each is for, and what its engine gets of it."""

from __future__ import annotations

from typing import NamedTuple

from common import caller
from common.api.base import Role
from gateway.proxy import form, openai, upstream_path
from gateway.proxy.client_watch import ClientWatch
from gateway.proxy.endpoints import changes_engine
from gateway.proxy.forward import EngineRequest, Forwarder
from gateway.proxy.headers import caller_fields
from gateway.proxy.metering import Metering
from gateway.proxy.request import Request
from gateway.proxy.request_body import Routed, read_body, requested_model, routed
from gateway.proxy.request_head import Fields, query_value
from gateway.proxy.responder import Responder
from gateway.proxy.routing import Router
from gateway.proxy.trace import Trace

_NOT_PASSED_ON = frozenset((b"accept-encoding", b"content-type"))
_JSON = b"content-type: application/json\r\n"


class Inference:
    """Reads them, meters them and passes them on."""

    def __init__(self, router: Router, forwarder: Forwarder, metering: Metering) -> None:
        self._router = router
        self._forwarder = forwarder
        self._metering = metering

    async def forward(self, request: Request, responder: Responder) -> None:
        """To the engine of the model that the body names, or the query."""
        endpoint, head = request.endpoint, request.head
        _require_role(head.method, head.path)
        trace = Trace(head.path, caller.current().name)
        with self._metering.request(trace, responder):
            asked = await self._asked(request, trace)
            model_id = self._router.resolve(asked.model)
            body, fields = asked.body, asked.fields
            if asked.is_json:
                body = self._router.body_filter(model_id).apply(body)
            target = _target(head.raw_path, head.query)
            with ClientWatch(request.exchange):
                await self._forwarder.forward(
                    EngineRequest(
                        model_id, head.method, target, fields, body, endpoint.dialect, asked.streams
                    ),
                    responder,
                    trace,
                )

    async def upstream(self, request: Request, responder: Responder) -> None:
        """To the engine of the model that the path names: whatever it serves."""
        head = request.head
        found = upstream_path.split(head.raw_path, self._router.knows)
        if found is None:
            wanted = upstream_path.wanted(head.raw_path)
            raise openai.unknown_model(wanted, self._router.models())
        if not found.path:
            # Pages of engines name their parts relative to themselves.
            await responder.empty(308, [(b"location", f"{head.raw_path}/".encode("latin-1"))])
            return
        _require_role(head.method, found.path)
        trace = Trace("/upstream", caller.current().name)
        with self._metering.request(trace, responder):
            body = await read_body(request, any_type=True)
            trace.bytes_in = len(body)
            model_id = self._router.resolve(found.model_id)
            fields, target = caller_fields(head.fields.headers), _target(found.path, head.query)
            with ClientWatch(request.exchange):
                await self._forwarder.forward(
                    EngineRequest(
                        model_id, head.method, target, fields, body, request.endpoint.dialect
                    ),
                    responder,
                    trace,
                )

    async def _asked(self, request: Request, trace: Trace) -> _Asked:
        """Read the body, and what it says of routing. Raises `Refused` and `ClientGone`."""
        head = request.head
        named = query_value(head.query, "model") if head.query else None
        lines = _lines(head.fields)
        if head.method != "POST":
            return _Asked(requested_model("", named), b"", lines, streams=False, is_json=False)
        body = await read_body(request)
        trace.bytes_in = len(body)
        if request.endpoint.takes_form:
            content_type = head.fields.content_type
            model = requested_model(form.model_of(body, content_type), named)
            lines += b"content-type: %b\r\n" % content_type
            return _Asked(model, body, lines, streams=False, is_json=False)
        said = routed(body) if named is None or _is_object(body) else Routed()
        if body:
            lines += _JSON
        model = requested_model(said.model, named)
        return _Asked(model, body, lines, streams=said.stream is True, is_json=True)


class _Asked(NamedTuple):
    """What a request is for; `fields` are the header lines for its engine."""

    model: str
    body: bytes
    fields: bytes
    streams: bool
    is_json: bool


def _require_role(method: str, path: str) -> None:
    """Everybody who was let in may ask engines. Raises `PermissionDenied` for all else."""
    if changes_engine(method, path):
        caller.current().require(Role.OPERATOR, f"{method} {path} of an engine")


def _is_object(body: bytes) -> bool:
    return body[:64].lstrip()[:1] == b"{"


def _target(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _lines(fields: Fields) -> bytes:
    """The caller's headers but for its content type: bodies are sent as what they were found to be.

    Without Accept-Encoding answers stay uncompressed: an event may have to be added to a stream.
    """
    if fields.lines is None:
        fields.lines = caller_fields(
            header for header in fields.headers if header[0] not in _NOT_PASSED_ON
        )
    return fields.lines
