from __future__ import annotations

import hashlib
import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from common.api.base import Role
from common.api.tokens import CreateToken
from common.errors import ConfigInvalid, InvalidRequest, TokenNotFound
from common.exposure import check_guarded
from common.home import Home
from common.settings import Llama, Server, Settings
from common.token_store import MAX_TOKENS, TokenStore, digest

GOOD_NAMES = ["a", "7", "ci@example.org", "Alices phone 2", "x" * 64]
BAD_NAMES = [
    "",
    " ",
    "-x",
    ".x",
    "x" * 65,
    "a\n",
    "a\nb",
    "a\0",
    "\N{SNOWMAN}",
    "a/b",
    "a'b",
    "[a]",
]


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "tokens.sqlite")


def test_a_token_is_revoked_by_its_name(store: TokenStore) -> None:
    made = store.create("ci", Role.VIEWER).token
    assert store.revoke_named("ci") == made
    with pytest.raises(TokenNotFound, match="named 'ci'"):
        store.revoke_named("ci")


def test_what_is_given_is_an_id_or_a_name_but_not_both(store: TokenStore) -> None:
    first = store.create("ci", Role.VIEWER).token
    second = store.create(first.id, Role.VIEWER).token  # called as another's id is
    assert store.meant("ci") == store.meant("ci") == first
    assert store.meant(second.id) == second
    with pytest.raises(InvalidRequest, match="may mean 'ci'"):
        store.meant(first.id)
    with pytest.raises(TokenNotFound):
        store.meant("nobody")


@pytest.mark.parametrize("role", Role)
def test_what_is_made_is_there_and_only_its_hash(
    store: TokenStore, tmp_path: Path, role: Role
) -> None:
    token, secret = store.create("ci", role)
    assert re.fullmatch(r"lap_[A-Za-z0-9_-]{43}", secret)
    assert (token.name, token.role) == ("ci", role)
    assert token.hash == hashlib.sha256(secret.encode()).hexdigest() == digest(secret)
    assert TokenStore(tmp_path / "tokens.sqlite").tokens() == [token]
    for path in tmp_path.iterdir():
        assert secret.encode() not in path.read_bytes()
        assert secret.removeprefix("lap_").encode() not in path.read_bytes()


def test_the_file_is_private(store: TokenStore, tmp_path: Path) -> None:
    store.create("ci", Role.VIEWER)
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_file_there_are_none_and_reading_makes_none(
    store: TokenStore, tmp_path: Path
) -> None:
    assert store.tokens() == []
    assert list(tmp_path.iterdir()) == []


def test_tokens_differ_and_keep_their_order(store: TokenStore) -> None:
    made = [store.create(f"name-{number}", Role.VIEWER) for number in range(20)]
    assert len({secret for _, secret in made}) == len({token.id for token, _ in made}) == 20
    assert store.tokens() == [token for token, _ in made]


def test_a_revoked_token_is_gone_for_good(store: TokenStore) -> None:
    first, second = store.create("a", Role.ADMIN).token, store.create("b", Role.ADMIN).token
    assert store.revoke(first.id) == first
    assert store.tokens() == [second]
    with pytest.raises(TokenNotFound, match=first.id):
        store.revoke(first.id)
    store.create("a", Role.VIEWER)


@pytest.mark.parametrize("token_id", ["", "x" * 10_000, "' OR 1=1 --", "%", "\0"])
def test_a_strange_id_revokes_nothing(store: TokenStore, token_id: str) -> None:
    store.create("a", Role.ADMIN)
    with pytest.raises(TokenNotFound):
        store.revoke(token_id)
    assert len(store.tokens()) == 1


def test_a_name_is_taken_once(store: TokenStore) -> None:
    store.create("ci", Role.VIEWER)
    with pytest.raises(InvalidRequest, match="named 'ci' already"):
        store.create("ci", Role.ADMIN)


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names_pass_here_and_in_the_contract(store: TokenStore, name: str) -> None:
    assert store.create(name, Role.VIEWER).token.name == name
    request = {"name": name, "role": "viewer"}
    assert msgspec.convert(request, CreateToken).name == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(store: TokenStore, name: str) -> None:
    with pytest.raises(InvalidRequest):
        store.create(name, Role.VIEWER)
    assert store.tokens() == []


def test_their_number_is_bounded(store: TokenStore, tmp_path: Path) -> None:
    store.create("first", Role.VIEWER)
    with closing(sqlite3.connect(tmp_path / "tokens.sqlite")) as db, db:
        db.executemany(
            "INSERT INTO token (id, name, role, hash, created_at) VALUES (?, ?, 'viewer', ?, '')",
            [(str(n), str(n), str(n)) for n in range(MAX_TOKENS - 1)],
        )
    with pytest.raises(InvalidRequest, match="revoke some"):
        store.create("one more", Role.VIEWER)


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"\0" * 4096])
def test_a_broken_file_is_an_error_and_never_taken_for_no_tokens(
    store: TokenStore, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "tokens.sqlite").write_bytes(content)
    with pytest.raises(ConfigInvalid, match=r"tokens\.sqlite"):
        store.tokens()
    with pytest.raises(ConfigInvalid):
        store.create("a", Role.ADMIN)
    assert (tmp_path / "tokens.sqlite").read_bytes() == content


def test_an_unknown_role_is_an_error(store: TokenStore, tmp_path: Path) -> None:
    store.create("a", Role.ADMIN)
    with closing(sqlite3.connect(tmp_path / "tokens.sqlite")) as db, db:
        db.execute("UPDATE token SET role = 'root'")
    with pytest.raises(ConfigInvalid, match="root"):
        store.tokens()


@pytest.mark.parametrize("host", ["192.168.1.2", "::", "models.example"])
@pytest.mark.parametrize("section", ["server", "llama"])
def test_a_public_entrance_needs_a_token(
    tmp_path: Path, store: TokenStore, section: str, host: str
) -> None:
    settings = (
        Settings(server=Server(host=host))
        if section == "server"
        else Settings(llama=Llama(host=host))
    )
    home = Home(tmp_path)
    with pytest.raises(ConfigInvalid) as caught:
        check_guarded(settings, home, "server", "llama")
    assert caught.value.message.startswith(f"{section}.host: other machines can reach {host}")
    assert "llama-proxy token create --role" in caught.value.message
    assert "\n" not in caught.value.message
    check_guarded(settings, home, "llama" if section == "server" else "server")
    store.create("a", Role.ADMIN)
    check_guarded(settings, home, "server", "llama")


def test_loopback_needs_none(tmp_path: Path) -> None:
    settings = Settings(server=Server(host="localhost"), llama=Llama(host="::1"))
    check_guarded(settings, Home(tmp_path), "server", "llama")
