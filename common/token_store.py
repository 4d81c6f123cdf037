"""Access tokens on disk: what the controller keeps of them, and the CLI while nothing runs.

A token is `lap_` and 256 random bits in base64url. Only its SHA-256 is stored: nobody can guess
their way back from it, so no slow hash is needed, and a stolen file opens nothing.

There is one writer at a time: whoever holds the lock of the controller's name. All calls block.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from common import timestamps
from common.api.base import Role
from common.api.tokens import Token
from common.errors import ConfigInvalid, InvalidRequest, TokenNotFound

PREFIX = "lap_"
SECRET_BYTES = 32
ID_BYTES = 6
MAX_TOKENS = 1_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS token (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL
)
"""


class NewToken(NamedTuple):
    """`secret` is what its bearer shows; it exists nowhere else."""

    token: Token
    secret: str


def digest(secret: str) -> str:
    """The SHA-256 by which a token is known, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class TokenStore:
    """The tokens of one home. Every method raises `ConfigInvalid` where the file is of no use."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tokens(self) -> list[Token]:
        """All of them, oldest first; none where there is no file."""
        if not self._path.exists():
            return []
        with self._opened() as db:
            rows = db.execute("SELECT id, name, role, hash, created_at FROM token ORDER BY number")
            return [_token(row) for row in rows]

    def create(self, name: str, role: Role) -> NewToken:
        """Add a token. Raises `InvalidRequest` for a name that is taken or does not look right."""
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name[:80]!r} cannot be the name of a token: 1 to 64 letters, digits, spaces and"
                " . _ @ -, the first a letter or digit",
                {"name": name[:80]},
            )
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        token = Token(
            id=secrets.token_hex(ID_BYTES),
            name=name,
            role=role,
            hash=digest(secret),
            created_at=timestamps.now(),
        )
        known = self.tokens()
        if len(known) >= MAX_TOKENS:
            raise InvalidRequest(f"there are {MAX_TOKENS} tokens already; revoke some first")
        if any(other.name == name for other in known):
            raise InvalidRequest(f"there is a token named '{name}' already", {"name": name})
        with self._opened() as db, db:
            db.execute(
                "INSERT INTO token (id, name, role, hash, created_at) VALUES (?, ?, ?, ?, ?)",
                (token.id, token.name, token.role.value, token.hash, token.created_at),
            )
        return NewToken(token, secret)

    def revoke(self, token_id: str) -> Token:
        """Remove a token; it is gone from the disk when this returns. Raises `TokenNotFound`."""
        for token in self.tokens():
            if token.id == token_id:
                return self._remove(token)
        raise TokenNotFound(
            f"there is no token with the id '{token_id[:80]}'; `llama-proxy token list` shows all",
            {"id": token_id[:80]},
        )

    def revoke_named(self, name: str) -> Token:
        """Remove the token of this name, as `revoke` does; no two have the same."""
        for token in self.tokens():
            if token.name == name:
                return self._remove(token)
        raise TokenNotFound(
            f"there is no token named '{name[:80]}'; `llama-proxy token list` shows all",
            {"name": name[:80]},
        )

    def meant(self, given: str) -> Token:
        """The token that somebody calls by its id or its name. Raises `TokenNotFound`, and
        `InvalidRequest` where it is the id of one and the name of another.
        """
        found = [token for token in self.tokens() if given in (token.id, token.name)]
        if not found:
            raise TokenNotFound(
                f"there is no token with the id or the name '{given[:80]}'; `llama-proxy token"
                " list` shows all",
                {"id": given[:80], "name": given[:80]},
            )
        if len(found) > 1:
            ids = " and ".join(f"'{token.name}' (id {token.id})" for token in found)
            raise InvalidRequest(f"'{given}' may mean {ids}; revoke the one by its id")
        return found[0]

    def _remove(self, token: Token) -> Token:
        with self._opened() as db, db:
            db.execute("DELETE FROM token WHERE id = ?", (token.id,))
        return token

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            # SQLite gives its journal the mode of the file.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(self._path)) as db:
                db.execute(_SCHEMA)
                yield db
        except (sqlite3.Error, OSError, ValueError) as error:
            # Never taken for "no tokens": that would open the doors.
            raise ConfigInvalid(
                f"{self._path} cannot be used as the list of access tokens: {error}; put a copy of"
                " it back, or remove it and make new tokens"
            ) from error


def _token(row: tuple[str, str, str, str, str]) -> Token:
    token_id, name, role, known_hash, created_at = row
    return Token(id=token_id, name=name, role=Role(role), hash=known_hash, created_at=created_at)
