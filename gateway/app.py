"""The gateway's ASGI application: Socket.IO under its own path and ours, health, the dashboard."""

from __future__ import annotations

import socketio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from common.errors import PermissionDenied
from gateway.local import is_local
from gateway.origins import Guard
from gateway.packets import readable_frames
from gateway.pages import Pages
from gateway.sockets import Sockets

PATH = "/llamaproxws"
SOCKETIO_PATH = "/socket.io/"


class GatewayApp:
    """Refuses foreign Host headers, hands Socket.IO its requests and Starlette the others."""

    def __init__(self, sockets: Sockets, guard: Guard, pages: Pages) -> None:
        self._guard = guard
        self._pages: ASGIApp = Starlette(routes=[Route("/healthz", _health), *pages.routes()])
        self._sockets: ASGIApp = socketio.ASGIApp(sockets.server, other_asgi_app=self._pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] not in ("http", "websocket"):
            return
        if not is_local(scope) and not self._admits_host(scope):
            await _refuse_host(scope, receive, send)
            return
        if scope["path"] in (PATH, PATH + "/"):
            scope = {**scope, "path": SOCKETIO_PATH, "raw_path": SOCKETIO_PATH.encode()}
        if scope["type"] == "websocket":
            receive = readable_frames(receive)
        await self._sockets(scope, receive, send)

    def _admits_host(self, scope: Scope) -> bool:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        return len(hosts) <= 1 and self._guard.admits_host(hosts[0] if hosts else None)


async def _health(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _refuse_host(scope: Scope, receive: Receive, send: Send) -> None:
    message = (
        "this server does not answer under that name, but as localhost on its own machine, and"
        " under the names in server.allowedHosts"
    )
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    refusal = {"error": {"message": message, "code": PermissionDenied.code}}
    await JSONResponse(refusal, status_code=403)(scope, receive, send)
