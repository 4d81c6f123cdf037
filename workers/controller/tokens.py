"""The access tokens, kept on disk and told to every gateway and proxy."""

from __future__ import annotations

import asyncio
import logging

from msgspec import UNSET

from common.api import tokens
from common.api.tokens import CreatedToken, CreateToken, RevokedToken, RevokeToken, Token
from common.bus.bus import Bus
from common.errors import InvalidRequest
from common.token_store import TokenStore

logger = logging.getLogger(__name__)


class Tokens:
    """Answers `tokens:create` and `tokens:revoke`; one at a time, so disk and table agree."""

    def __init__(self, bus: Bus, store: TokenStore) -> None:
        self._store = store
        self._table = bus.table(tokens.TOKEN)
        self._one_at_a_time = asyncio.Lock()
        bus.serve(tokens.CREATE, self.create)
        bus.serve(tokens.REVOKE, self.revoke)

    async def restore(self) -> None:
        """Fill the table; before the bus runs, so that nobody is told of an empty one."""
        for token in await asyncio.to_thread(self._store.tokens):
            self._table.put(token.id, token)

    async def create(self, request: CreateToken) -> CreatedToken:
        """Make a token."""
        async with self._one_at_a_time:
            made = await asyncio.to_thread(self._store.create, request.name, request.role)
            token = made.token
            self._table.put(token.id, token)
        logger.info("token %s ('%s', %s) was made", token.id, token.name, token.role.value)
        return CreatedToken(
            id=token.id,
            name=token.name,
            role=token.role,
            created_at=token.created_at,
            token=made.secret,
        )

    async def revoke(self, request: RevokeToken) -> RevokedToken:
        """Make a token worthless."""
        async with self._one_at_a_time:
            token = await asyncio.to_thread(self._revoked, request)
            self._table.remove(token.id)
        logger.info("token %s ('%s') was revoked", token.id, token.name)
        return RevokedToken(id=token.id, name=token.name)

    def _revoked(self, request: RevokeToken) -> Token:
        if request.id is not UNSET and request.name is UNSET:
            return self._store.revoke(request.id)
        if request.name is not UNSET and request.id is UNSET:
            return self._store.revoke_named(request.name)
        raise InvalidRequest("tokens:revoke takes the id of a token, or its name")
