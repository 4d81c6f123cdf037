"""The controller's configuration on a real bus: a change reaches the file and every process."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import subprocess
import sys
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common import caller
from common.api import config
from common.api.base import Role
from common.api.config import ConfigChanges, CurrentSettings, GetConfig
from common.caller import Caller
from common.errors import ConfigInvalid, PermissionDenied, ServerError
from common.home import Home
from common.live_settings import LiveSettings
from common.settings import Settings
from common.settings_source import load
from common.settings_values import as_json
from gateway.handlers.config import ConfigHandlers
from tests.support.bus import Joiner, hear_late
from tests.support.full_disk import files_end_at
from tests.support.ports import free_ports
from tests.support.waiting import until
from workers.controller.configuration import file
from workers.controller.configuration.configuration import Configuration

TEXT = """\
# kept
[llama]
maxModels = 2  # two
"""


class World:
    """A controller's configuration, and a gateway that asks it."""

    def __init__(self, joiner: Joiner, root: Path, environ: dict[str, str]) -> None:
        self.home = Home(root)
        self.joiner = joiner
        self.path = self.home.config_file
        if not self.path.exists():
            self.path.write_text(TEXT)
        settings = load(root, None, environ)
        self.bus = joiner.create("controller", "controller")
        self.live = LiveSettings(settings)
        Configuration(self.bus, self.home, self.live, given=None, environ=environ)
        self.gateway_bus = joiner.create("gateway@testhost", "gateway")
        self.gateway_live = LiveSettings(Settings())
        self.gateway_live.follow(self.gateway_bus)
        self.gateway = ConfigHandlers(self.gateway_bus, self.gateway_live)

    async def update(self, role: Role = Role.ADMIN, **changes: Any) -> Any:
        with caller.acting(Caller("test", role)):
            return await self.gateway.update(msgspec.convert(changes, ConfigChanges))

    async def validate(self, role: Role = Role.ADMIN, **changes: Any) -> Any:
        with caller.acting(Caller("test", role)):
            return await self.gateway.validate(msgspec.convert(changes, ConfigChanges))

    async def shown(self) -> dict[str, Any]:
        configuration: dict[str, Any] = msgspec.to_builtins(await self.gateway.get(GetConfig()))
        return configuration


def free_port() -> int:
    (port,) = free_ports(1)
    return port


MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture
def make_world(joiner: Joiner, tmp_path: Path) -> MakeWorld:
    async def make(environ: dict[str, str] | None = None) -> World:
        world = World(joiner, tmp_path, environ or {})
        await joiner.start(world.bus, world.gateway_bus)
        await until(lambda: world.gateway_live.current == world.live.current)
        return world

    return make


async def test_what_is_configured_is_shown_in_the_shape_of_the_file(make_world: MakeWorld) -> None:
    world = await make_world()
    shown = await world.shown()
    assert shown["server"]["port"] == 3000
    assert shown["llama"]["maxModels"] == 2
    assert shown["logging"] == {"level": "info", "path": "./logs"}
    assert shown["runners"] == ()


async def test_a_change_is_written_and_holds_everywhere(make_world: MakeWorld) -> None:
    world = await make_world()
    hear_late(world.gateway_bus, 0.2)
    changed: list[tuple[int, int]] = []
    world.gateway_live.on_change(
        lambda before, after: changed.append((before.llama.max_models, after.llama.max_models))
    )
    reply = await world.update(llama={"maxModels": 8})
    assert (reply.updated, reply.restart_required, reply.restart) == (True, False, ())
    assert world.path.read_text() == TEXT.replace("= 2", "= 8")
    assert world.live.current.llama.max_models == 8
    assert changed == [(2, 8)]
    assert (await world.shown())["llama"]["maxModels"] == 8


async def test_what_changes_nothing_is_said_to(make_world: MakeWorld) -> None:
    world = await make_world()
    assert not (await world.update(llama={"maxModels": 2})).updated
    assert world.path.read_text() == TEXT


async def test_processes_that_must_be_started_anew_are_named_as_they_are(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    reply = await world.update(server={"port": free_port()}, llama={"maxModels": 3})
    assert reply.restart_required
    assert reply.restart == ("gateway@testhost", "proxy@testhost")
    assert (await world.update(proxy={"processes": 2})).restart == ("up",)


async def test_a_wrong_change_changes_nothing(make_world: MakeWorld) -> None:
    world = await make_world()
    with pytest.raises(ConfigInvalid) as caught:
        await world.update(llama={"maxModels": 0, "port": 8081})
    assert caught.value.details is not None
    assert caught.value.details["problems"][0]["path"] == "llama.maxModels"
    assert world.path.read_text() == TEXT
    assert world.live.current.llama.port == 8080


async def test_a_directory_must_be_there_or_within_home(
    make_world: MakeWorld, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = await make_world()
    elsewhere = tmp_path_factory.mktemp("models")
    for wrong in (str(elsewhere / "none"), "config.toml", str(world.path)):
        with pytest.raises(ConfigInvalid, match="a directory that is there"):
            await world.update(llama={"modelsDir": wrong})
    await world.update(llama={"modelsDir": str(elsewhere)})
    await world.update(llama={"modelsDir": "more/models"})
    assert (world.home.root / "more" / "models").is_dir()
    with pytest.raises(ConfigInvalid, match="llama-server"):
        await world.update(llama={"serverPath": "/bin/sh"})
    assert tomllib.loads(world.path.read_text())["llama"]["modelsDir"] == "more/models"


async def test_what_flags_name_must_lie_where_engines_may_read(make_world: MakeWorld) -> None:
    world = await make_world()
    with pytest.raises(ConfigInvalid, match="chat-template-file: the path") as caught:
        await world.update(llama={"flags": {"chat-template-file": "/etc/hostname"}})
    assert (caught.value.details or {})["problems"][0]["given"] == '"/etc/hostname"'
    assert world.path.read_text() == TEXT
    template = world.home.root / "templates" / "chat.jinja"
    await world.update(llama={"flags": {"chat-template-file": str(template)}})
    assert world.live.current.llama.flags == {"chat-template-file": str(template)}


async def test_flags_are_held_to_the_rules_of_presets(make_world: MakeWorld) -> None:
    world = await make_world()
    wrong = {"ctx-size": "many", "temp": "1000", "no-such-flag": "1", "threads": "4"}
    with pytest.raises(ConfigInvalid) as caught:
        await world.update(llama={"flags": wrong})
    problems = {each["path"]: each for each in (caught.value.details or {})["problems"]}
    assert problems.keys() == {f"llama.flags.{flag}" for flag in list(wrong)[:3]}
    assert problems["llama.flags.ctx-size"]["message"] == "'many' is not a whole number"
    assert problems["llama.flags.temp"]["given"] == '"1000"'
    assert world.path.read_text() == TEXT
    (problem,) = (await world.validate(llama={"flags": {"temp": "hot"}})).errors
    assert problem.path == "llama.flags.temp"


async def test_a_flag_that_was_there_may_stay_as_it_is(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text('[llama]\nflags = { ours = "1" }\n')
    world = await make_world()
    await world.update(llama={"flags": {"threads": "4"}})
    assert world.live.current.llama.flags == {"ours": "1", "threads": "4"}


async def test_a_public_address_needs_tokens(make_world: MakeWorld) -> None:
    world = await make_world()
    with pytest.raises(ConfigInvalid, match="token"):
        await world.update(server={"host": str(ipaddress.IPv4Address(0)), "port": free_port()})
    assert world.path.read_text() == TEXT


async def test_an_entrance_must_be_able_to_listen(make_world: MakeWorld) -> None:
    world = await make_world()
    mine, taken = free_ports(2)
    with socket.create_server(("127.0.0.1", mine)), held_by_another(taken):
        # This very process is one of the stack: a port that it holds is as good as free.
        await world.update(server={"port": mine})
        with pytest.raises(ConfigInvalid, match=rf"server\.port: given {taken}; .* no other"):
            await world.update(server={"port": taken})
    with pytest.raises(ConfigInvalid, match=r"llama\.host: .*can be listened at"):
        await world.update(llama={"host": "192.0.2.1"})


@contextmanager
def held_by_another(port: int) -> Iterator[None]:
    """Another program listens on a port."""
    code = (
        "import socket, sys; held = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate()


async def test_an_operator_may_not_name_places(make_world: MakeWorld) -> None:
    world = await make_world()
    with pytest.raises(PermissionDenied, match=r"llama\.modelsDir"):
        await world.update(Role.OPERATOR, llama={"modelsDir": "m"})
    assert (await world.update(Role.OPERATOR, llama={"maxModels": 3})).updated


async def test_a_dry_run_says_what_would_change_and_changes_nothing(make_world: MakeWorld) -> None:
    world = await make_world()
    port = free_port()
    checked = await world.validate(server={"port": port}, llama={"maxModels": 3})
    assert checked.valid
    assert [(one.path, one.before, one.after, one.restart) for one in checked.diff] == [
        ("server.port", 3000, port, ("gateway@testhost", "proxy@testhost")),
        ("llama.maxModels", 2, 3, ()),
    ]
    assert checked.restart_required
    assert world.path.read_text() == TEXT
    assert world.live.current.llama.max_models == 2


async def test_a_dry_run_says_what_is_wrong(make_world: MakeWorld) -> None:
    world = await make_world({"LLAMA_PROXY_LLAMA__PORT": "9000"})
    checked = await world.validate(llama={"maxModels": 0, "maxmodels": 1})
    assert not checked.valid
    assert {problem.path for problem in checked.errors} == {"llama.maxModels", "llama.maxmodels"}
    (problem,) = (await world.validate(llama={"port": 9001})).errors
    assert "LLAMA_PROXY_LLAMA__PORT" in problem.message
    (problem,) = (await world.validate(Role.OPERATOR, llama={"modelsDir": "m"})).errors
    assert problem.path == "llama.modelsDir"


async def test_two_changes_at_once_both_hold(make_world: MakeWorld) -> None:
    world = await make_world()
    sampling = ("temp", "top-p", "min-p", "typical", "repeat-penalty", "presence-penalty")
    await asyncio.gather(
        *(world.update(llama={key: 9}) for key in ("maxModels", "queueTimeout")),
        *(world.update(llama={"flags": {flag: "0.5"}}) for flag in sampling),
    )
    llama = tomllib.loads(world.path.read_text())["llama"]
    assert (llama["maxModels"], llama["queueTimeout"], len(llama["flags"])) == (9, 9, 6)
    assert load(world.home.root, None, {}) == world.live.current


async def test_a_change_by_hand_is_kept_and_holds_with_the_next_update(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    world.path.write_text(TEXT + "port = 9000  # by hand\n")
    reply = await world.update(Role.OPERATOR, llama={"maxModels": 8})
    assert "port = 9000  # by hand" in world.path.read_text()
    assert world.live.current.llama.port == 9000
    assert reply.restart == ("proxy@testhost",)


async def test_a_disk_that_refuses_changes_nothing(make_world: MakeWorld) -> None:
    world = await make_world()
    with files_end_at(10), pytest.raises(ServerError, match="File too large; nothing has changed"):
        await world.update(llama={"maxModels": 8})
    assert file.read(world.path) == TEXT
    assert world.live.current.llama.max_models == 2


async def test_a_process_that_comes_later_hears_what_holds(make_world: MakeWorld) -> None:
    world = await make_world()
    await world.update(llama={"maxModels": 8})
    bus = world.joiner.create("metrics@testhost", "metrics")
    late = LiveSettings(Settings())
    late.follow(bus)
    await world.joiner.start(bus)
    await until(lambda: late.current == world.live.current)


async def test_only_the_controller_is_listened_to(make_world: MakeWorld) -> None:
    world = await make_world()
    bus = world.joiner.create("metrics@elsewhere", "metrics")
    table = bus.table(config.SETTINGS)
    observer = world.joiner.create("logs", "logs")
    rows = observer.mirror(config.SETTINGS)
    await world.joiner.start(bus, observer)
    heard: list[int] = []
    world.gateway_live.on_change(lambda _, after: heard.append(after.llama.max_models))
    more = load(world.home.root, None, {"LLAMA_PROXY_LLAMA__MAX_MODELS": "99"})
    table.put("main", CurrentSettings(settings=as_json(more)))
    await until(lambda: "main" in rows.rows("metrics@elsewhere"))
    await world.update(llama={"maxModels": 5})
    await until(lambda: world.gateway_live.current.llama.max_models == 5)
    assert heard == [5]
