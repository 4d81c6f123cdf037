"""From the controller's store to those who must know, and from the command line to the store."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.api import tokens
from common.api.base import Role
from common.api.tokens import CreateToken, RevokeToken, Token
from common.bus.addresses import Addresses
from common.bus.bus import Bus
from common.caller import EVERYBODY, Caller
from common.errors import ConfigInvalid, InvalidRequest, TokenNotFound
from common.home import Home
from common.settings import Backplane as BackplaneSettings
from common.settings import Settings
from common.token_store import TokenStore
from deploy import token as cli
from deploy.failure import CommandFailed
from gateway.auth import Access
from gateway.fleet import CONTROLLER
from gateway.handlers.tokens import TokenHandlers
from tests.support.bus import Joiner, hear_late
from tests.support.stack import run_cli
from tests.support.waiting import until
from workers.backplane.backplane import Backplane
from workers.controller.tokens import Tokens


async def controller(joiner: Joiner, path: Path) -> Bus:
    bus = joiner.create(CONTROLLER)
    served = Tokens(bus, TokenStore(path))
    await served.restore()
    return bus


def reader(joiner: Joiner, name: str) -> tuple[Bus, Access]:
    bus = joiner.create(name, "gateway")
    return bus, Access(bus.mirror(tokens.TOKEN), public=False)


async def test_every_gateway_hears_of_tokens(joiner: Joiner, tmp_path: Path) -> None:
    path = tmp_path / "tokens.sqlite"
    early = TokenStore(path).create("early", Role.VIEWER)
    owner = await controller(joiner, path)
    (one, access), (two, other) = reader(joiner, "gateway@a"), reader(joiner, "gateway@b")
    await joiner.start(owner, one, two)
    await until(lambda: access.known() and other.known())
    assert access.identify(early.secret).name == "early"

    made = await one.call(CONTROLLER, tokens.CREATE, CreateToken(name="ci", role=Role.OPERATOR))
    await until(lambda: len(access.tokens()) == len(other.tokens()) == 2)
    caller = Caller("ci", Role.OPERATOR, made.id)
    assert access.identify(made.token) == other.identify(made.token) == caller
    with pytest.raises(InvalidRequest):
        await two.call(CONTROLLER, tokens.CREATE, CreateToken(name="ci", role=Role.ADMIN))

    revoked = await two.call(CONTROLLER, tokens.REVOKE, RevokeToken(id=made.id))
    assert (revoked.id, revoked.name) == (made.id, "ci")
    await until(lambda: not access.still(caller) and not other.still(caller))
    with pytest.raises(TokenNotFound):
        await one.call(CONTROLLER, tokens.REVOKE, RevokeToken(id=made.id))
    for unclear in (RevokeToken(), RevokeToken(id=made.id, name="early")):
        with pytest.raises(InvalidRequest):
            await one.call(CONTROLLER, tokens.REVOKE, unclear)
    assert TokenStore(path).tokens() == [early.token]
    named = await one.call(CONTROLLER, tokens.REVOKE, RevokeToken(name=early.token.name))
    assert named.id == early.token.id


async def test_a_token_holds_from_the_answer_on_though_the_news_comes_later(
    joiner: Joiner, tmp_path: Path
) -> None:
    owner = await controller(joiner, tmp_path / "tokens.sqlite")
    bus, access = reader(joiner, "gateway@a")
    handlers = TokenHandlers(access, bus)
    await joiner.start(owner, bus)
    hear_late(bus, 0.2)
    made = await handlers.create(CreateToken(name="ci", role=Role.VIEWER))
    caller = access.identify(made.token)
    assert caller.name == "ci"
    await handlers.revoke(RevokeToken(id=made.id))
    assert not access.still(caller)


async def test_without_a_controller_what_was_known_goes_on(joiner: Joiner, tmp_path: Path) -> None:
    path = tmp_path / "tokens.sqlite"
    owner = await controller(joiner, path)
    bus, access = reader(joiner, "gateway@a")
    late, unknowing = reader(joiner, "gateway@b")
    await joiner.start(owner, bus)
    made = await bus.call(CONTROLLER, tokens.CREATE, CreateToken(name="ci", role=Role.VIEWER))
    await until(lambda: len(access.tokens()) == 1)
    await joiner.stop(owner)
    await joiner.start(late)
    assert access.identify(made.token).name == "ci"
    assert not unknowing.known()

    # Revoked while the controller was away: its successor's snapshot says so.
    TokenStore(path).revoke(made.id)
    await joiner.start(await controller(joiner, path))
    await until(lambda: unknowing.known() and not access.tokens())
    assert access.identify(None) == unknowing.identify(None) == EVERYBODY


async def test_a_controller_that_cannot_read_its_tokens_does_not_start(
    joiner: Joiner, tmp_path: Path
) -> None:
    (tmp_path / "tokens.sqlite").write_bytes(b"no database at all" * 100)
    bus = joiner.create(CONTROLLER)
    with pytest.raises(ConfigInvalid):
        await Tokens(bus, TokenStore(tmp_path / "tokens.sqlite")).restore()
    bus.close()


async def test_many_at_once_are_all_made(joiner: Joiner, tmp_path: Path) -> None:
    owner = await controller(joiner, tmp_path / "tokens.sqlite")
    bus, access = reader(joiner, "gateway@a")
    await joiner.start(owner, bus)
    requests = [CreateToken(name=f"token {n}", role=Role.VIEWER) for n in range(50)]
    made = await asyncio.gather(*(bus.call(CONTROLLER, tokens.CREATE, one) for one in requests))
    await until(lambda: len(access.tokens()) == 50)
    known: list[Token] = TokenStore(tmp_path / "tokens.sqlite").tokens()
    assert {token.id for token in known} == {one.id for one in made}


# The command line.


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def token_command(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_cli("token", *arguments, home=home.root, environment={})


def test_the_command_line_works_before_anything_was_started(home: Home) -> None:
    made = token_command(home, "create", "--name", "ci", "--role", "admin")
    assert made.returncode == 0
    secret = made.stdout.strip()
    assert secret.startswith("lap_")
    assert secret not in made.stderr
    assert "shown only now" in made.stderr
    shown = token_command(home, "list")
    assert "ci" in shown.stdout
    assert secret not in shown.stdout
    (row,) = json.loads(token_command(home, "list", "--json").stdout)["tokens"]
    assert set(row) == {"id", "name", "role", "createdAt"}
    assert token_command(home, "revoke", row["id"]).returncode == 0
    assert token_command(home, "create", "--name", "ci", "--role", "viewer").returncode == 0
    assert token_command(home, "revoke", "ci").returncode == 0
    again = token_command(home, "revoke", row["id"])
    assert (again.returncode, "TOKEN_NOT_FOUND" in again.stderr) == (1, True)
    assert TokenStore(home.tokens_file).tokens() == []


@contextmanager
def somebody_holding(home: Home, name: str) -> Iterator[None]:
    """Another process holds a lock of this home."""
    code = (
        "import sys; from pathlib import Path; from common import lock\n"
        "with lock.hold(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home.process_lock(name))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield
        holder.communicate()


async def test_while_a_controller_runs_it_is_asked(home: Home) -> None:
    home.prepare(Settings())
    backplane = Backplane(Addresses.in_directory(home.run))
    backplane.start()
    joiner = Joiner(Addresses.in_directory(home.run))
    served = await controller(joiner, home.tokens_file)
    bus, access = reader(joiner, "gateway@a")
    try:
        await joiner.start(served, bus)
        with somebody_holding(home, CONTROLLER):
            made = await asyncio.to_thread(cli.create, home, Settings(), "ci", Role.VIEWER)
            await until(lambda: len(access.tokens()) == 1)
            assert access.identify(made.token).name == "ci"
            with pytest.raises(InvalidRequest):
                await asyncio.to_thread(cli.create, home, Settings(), "ci", Role.VIEWER)
            await asyncio.to_thread(cli.revoke, home, Settings(), made.id)
            await until(lambda: not access.tokens())
    finally:
        for running in list(joiner.tasks):
            await joiner.stop(running)
        backplane.stop()


def test_a_joined_host_makes_no_tokens(home: Home) -> None:
    settings = Settings(backplane=BackplaneSettings(join="tcp://127.0.0.1:7300"))
    with pytest.raises(CommandFailed, match="on the main host"):
        cli.create(home, settings, "ci", Role.VIEWER)
    assert not home.root.exists()
