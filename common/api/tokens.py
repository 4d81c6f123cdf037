"""Access tokens: who may use the two entrances, and for what."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from common.api.base import Change, Command, Event, Role, Struct

TokenName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]*$", min_length=1, max_length=64)
]
TokenId = Annotated[str, Meta(min_length=1, max_length=64)]


class Token(Struct, frozen=True):
    """A token as processes know it: not the secret itself, but its SHA-256 (hexadecimal)."""

    id: str
    name: str
    role: Role
    hash: str
    created_at: str


class TokenEntry(Struct, frozen=True):
    """A token as administrators see it. `created_at` is ISO-8601 in UTC."""

    id: str
    name: str
    role: Role
    created_at: str


class GetIdentity(Struct, frozen=True):
    """Who this client is; no fields."""


class Identity(Struct, frozen=True):
    """Who this client is for us: its token's name and what that may do. `needs_token` is false
    while there are no tokens, when everybody may do everything.
    """

    name: str
    role: Role
    needs_token: bool


class ListTokens(Struct, frozen=True):
    """All tokens; no fields."""


class TokenList(Struct, frozen=True):
    """All tokens, oldest first."""

    tokens: tuple[TokenEntry, ...]


class CreateToken(Struct, frozen=True):
    """A new token's `name`, which no other token has, and what its bearer may do."""

    name: TokenName
    role: Role


class CreatedToken(Struct, frozen=True):
    """`token` is the secret; it is shown this once and kept nowhere."""

    id: str
    name: str
    role: Role
    created_at: str
    token: str


class RevokeToken(Struct, frozen=True):
    """Which token shall be worth nothing from now on: by its `id`, or by its `name`."""

    id: TokenId | UnsetType = UNSET
    name: TokenName | UnsetType = UNSET


class RevokedToken(Struct, frozen=True):
    """The token that is gone."""

    id: str
    name: str


IDENTITY = Command(
    "tokens:identity", GetIdentity, Identity, Role.VIEWER, "Who this client is, and what it may do."
)
LIST = Command("tokens:list", ListTokens, TokenList, Role.ADMIN, "All access tokens.")
CREATE = Command(
    "tokens:create", CreateToken, CreatedToken, Role.ADMIN, "Make an access token; shown once."
)
REVOKE = Command(
    "tokens:revoke",
    RevokeToken,
    RevokedToken,
    Role.ADMIN,
    "Make a token worthless: what its Socket.IO clients ask from then on is refused, and they are"
    " disconnected within a second, or three where they wait for an answer.",
)
TOKEN = Event(
    "tokens:token",
    Change[Token],
    "A token was made or revoked.",
    stream="tokens",
    internal=True,
)
