"""Access tokens as a gateway or proxy knows them, without a controller to tell of them."""

from __future__ import annotations

from common.api import tokens
from common.api.base import Change, Role
from common.api.bus import SnapshotItem
from common.api.tokens import Token
from common.bus import wire
from common.bus.tables import Mirror
from common.token_store import digest
from gateway.auth import Access
from gateway.fleet import CONTROLLER

SECRETS = {role: f"lap_the-token-of-{role.value}" for role in Role}
"""By role, a token that `everyone` makes known."""


def token(name: str, role: Role, secret: str) -> Token:
    """A row of the table."""
    created_at = "2024-01-15T10:30:00.000Z"
    return Token(id=f"id-{name}", name=name, role=role, hash=digest(secret), created_at=created_at)


def everyone() -> list[Token]:
    """One token for each role, named after it."""
    return [token(role.value, role, secret) for role, secret in SECRETS.items()]


class TokenTable:
    """A copy of the controller's table that a test fills."""

    def __init__(self) -> None:
        self.mirror: Mirror[Token] = Mirror(tokens.TOKEN)

    def tell(self, *rows: Token, owner: str = CONTROLLER) -> None:
        """These are all tokens now."""
        changes = (Change(key=row.id, value=row) for row in rows)
        items = [SnapshotItem(name=tokens.TOKEN.name, body=wire.raw(change)) for change in changes]
        self.mirror.replace(owner, [(item.name, item.body) for item in items])


def access_with(*rows: Token, public: bool = False) -> Access:
    """An access that knows these tokens, be they none."""
    table = TokenTable()
    access = Access(table.mirror, public=public)
    table.tell(*rows)
    return access
