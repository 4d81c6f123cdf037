"""tokens:identity, tokens:list, tokens:create, tokens:revoke."""

from __future__ import annotations

from common import caller
from common.api import tokens
from common.api.tokens import (
    CreatedToken,
    CreateToken,
    GetIdentity,
    Identity,
    ListTokens,
    RevokedToken,
    RevokeToken,
    TokenEntry,
    TokenList,
)
from common.bus.bus import Bus
from gateway.auth import Access
from gateway.fleet import CONTROLLER


class TokenHandlers:
    """Lists from this gateway's copy; the controller makes and revokes."""

    def __init__(self, access: Access, bus: Bus) -> None:
        self._access = access
        self._bus = bus

    async def identity(self, _request: GetIdentity) -> Identity:
        """Who asks."""
        asking = caller.current()
        return Identity(name=asking.name, role=asking.role, needs_token=bool(self._access.tokens()))

    async def list(self, _request: ListTokens) -> TokenList:
        """All tokens, without their secrets, which nobody has."""
        return TokenList(
            tokens=tuple(
                TokenEntry(
                    id=token.id, name=token.name, role=token.role, created_at=token.created_at
                )
                for token in self._access.tokens()
            )
        )

    async def create(self, request: CreateToken) -> CreatedToken:
        """Make one."""
        return await self._bus.change(CONTROLLER, tokens.CREATE, request, tokens.TOKEN)

    async def revoke(self, request: RevokeToken) -> RevokedToken:
        """Make one worthless."""
        return await self._bus.change(CONTROLLER, tokens.REVOKE, request, tokens.TOKEN)
