"""`llama-proxy token`: make, list and revoke access tokens, whether the stack runs or not.

Whoever may open home owns the stack, so no token is needed for this. While a controller runs, it
is asked over the backplane; else the store is opened here, under the lock of the controller's name.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TypeVar

import zmq.asyncio

from common import lock
from common.api import tokens
from common.api.base import Command, Role, Struct
from common.api.tokens import (
    CreatedToken,
    CreateToken,
    RevokedToken,
    RevokeToken,
    TokenEntry,
    TokenList,
)
from common.bus.fleet_clock import FleetClock
from common.bus.rpc import Endpoint
from common.dispatch import Dispatcher
from common.errors import Unavailable
from common.home import Home
from common.service import backplane_addresses
from common.settings import Settings
from common.token_store import TokenStore
from deploy.failure import CommandFailed

_CONTROLLER = "controller"
_PATIENCE_S = 10.0

Req = TypeVar("Req", bound=Struct)
Rep = TypeVar("Rep", bound=Struct)


def create(home: Home, settings: Settings, name: str, role: Role) -> CreatedToken:
    """Make a token. Raises `InvalidRequest` for a name that will not do."""
    _prepare(home, settings)
    try:
        with lock.hold(home.process_lock(_CONTROLLER)):
            token, secret = TokenStore(home.tokens_file).create(name, role)
    except lock.LockHeld:
        request = CreateToken(name=name, role=role)
        return asyncio.run(_ask_controller(home, settings, tokens.CREATE, request))
    return CreatedToken(
        id=token.id, name=token.name, role=token.role, created_at=token.created_at, token=secret
    )


def listed(home: Home, settings: Settings) -> TokenList:
    """All tokens."""
    _prepare(home, settings)
    return TokenList(
        tokens=tuple(
            TokenEntry(id=token.id, name=token.name, role=token.role, created_at=token.created_at)
            for token in TokenStore(home.tokens_file).tokens()
        )
    )


def revoke(home: Home, settings: Settings, given: str) -> RevokedToken:
    """Make a token worthless, by its id or its name. Raises `TokenNotFound`, and `InvalidRequest`
    where that may mean two.
    """
    _prepare(home, settings)
    store = TokenStore(home.tokens_file)
    token_id = store.meant(given).id
    try:
        with lock.hold(home.process_lock(_CONTROLLER)):
            token = store.revoke(token_id)
    except lock.LockHeld:
        request = RevokeToken(id=token_id)
        return asyncio.run(_ask_controller(home, settings, tokens.REVOKE, request))
    return RevokedToken(id=token.id, name=token.name)


def _prepare(home: Home, settings: Settings) -> None:
    if settings.backplane.join:
        raise CommandFailed(
            f"this host joins {settings.backplane.join}: tokens are made on the main host"
        )
    home.prepare(settings)


async def _ask_controller(
    home: Home, settings: Settings, command: Command[Req, Rep], request: Req
) -> Rep:
    """Ask over the backplane; for a while also where it, or the controller, is still starting."""
    context = zmq.asyncio.Context()
    endpoint = Endpoint(
        context,
        backplane_addresses(home, settings).requests,
        f"cli-{os.getpid()}",
        time.time_ns(),
        Dispatcher(),
        FleetClock(at_main_host=True),
    )
    receiving = asyncio.create_task(endpoint.run())
    deadline = time.monotonic() + _PATIENCE_S
    try:
        while True:
            try:
                return await endpoint.call(_CONTROLLER, command, request)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        endpoint.close()
        context.term()
