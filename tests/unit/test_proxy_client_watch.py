"""Requests that are ended from outside."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from starlette.types import Receive, Scope, Send

from gateway.http_exchange import EXCHANGE, Exchange
from gateway.proxy.client_watch import ClientWatch
from gateway.proxy.errors import ClientGone
from tests.support.http_connection import HttpConnection, settle

GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("light", [False, True])
async def test_one_whose_client_has_left_leaves_nothing_to_the_collector(light: bool) -> None:
    class App:
        def __init__(self) -> None:
            self.light = light
            self.told: list[type[Exception]] = []
            self.watches: list[weakref.ref[ClientWatch]] = []

        async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
            exchange: Exchange = scope[EXCHANGE]
            try:
                await self._wait(exchange)
            except ClientGone as gone:
                self.told.append(type(gone))

        async def _wait(self, exchange: Exchange) -> None:
            watch = Watch(exchange)
            self.watches.append(weakref.ref(watch))
            with watch:
                await asyncio.Event().wait()

    class Watch(ClientWatch):  # its base has no place for weak references
        pass

    app = App()
    connection = HttpConnection(app)
    await connection.send(GET)
    gc.disable()
    try:
        await connection.lose()
        await settle()
        assert app.told == [ClientGone]
        assert [watch() for watch in app.watches] == [None]
    finally:
        gc.enable()
