"""Programs are started anew through a real supervisord, whatever state they are in."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.api import system
from common.api.system import RestartProgram
from common.bus.bus import Bus
from common.errors import InvalidRequest, Unavailable
from common.live_settings import LiveSettings
from common.settings import Llama, Runner, Settings
from common.supervisor_rpc import ProgramState, SupervisorRpc, SupervisorUnreachable, socket_of
from tests.support.bus import Joiner
from tests.support.waiting import until, wait_for
from workers.metrics import supervisor
from workers.metrics.supervisor import Supervisor

CONFIGURATION = """\
[supervisord]
nodaemon=true
silent=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={directory}/pid
[unix_http_server]
file={directory}/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:obedient]
command={python} {code} obedient
startsecs=0
autorestart=true
[program:deaf]
command={python} {code} deaf
startsecs=0
autorestart=true
[program:once]
command={python} {code} obedient
startsecs=0
autorestart=false
[program:stopped]
command={python} {code} obedient
startsecs=0
autostart=false
[program:failing]
command={python} -c "raise SystemExit(1)"
startsecs=1
startretries=1000000
autorestart=true
[group:together]
programs=deaf,once
"""

CODE = """\
import pathlib, signal, sys
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
else:
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
pathlib.Path(__file__).with_name(sys.argv[1] + ".ready").touch()
while True:
    signal.pause()
"""


@dataclass
class Host:
    """A supervisord and what speaks for it."""

    rpc: SupervisorRpc
    bus: Bus
    asker: Bus
    tasks: list[asyncio.Task[Any]]

    def spawn(self, work: Any, _name: str) -> object:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def state(self, name: str) -> ProgramState:
        return next(program for program in self.rpc.programs() if program.name == name)

    async def restart(self, name: str) -> None:
        request = RestartProgram(program=name)
        await self.asker.call("metrics@testhost", system.RESTART_PROGRAM, request)

    async def another(self, before: ProgramState) -> None:
        """It runs as another process, and whoever saw to that has ended."""
        await until(lambda: self.state(before.name).pid not in (0, before.pid), timeout_s=20)
        async with asyncio.timeout(20):
            await asyncio.gather(*self.tasks)


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Of a running supervisord; its socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        directory = Path(name)
        code, conf = directory / "program.py", directory / "supervisord.conf"
        code.write_text(CODE)
        conf.write_text(CONFIGURATION.format(directory=directory, python=sys.executable, code=code))
        command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: running_all(directory))
            yield directory
        finally:
            running.terminate()
            running.wait(20)


def running_all(directory: Path) -> bool:
    ready = {"obedient.ready", "deaf.ready"}
    if not ready <= {path.name for path in directory.iterdir()}:
        return False
    try:
        states = SupervisorRpc(directory / "sock").states()
    except SupervisorUnreachable:
        return False
    return states["once"] == "RUNNING"


@pytest.fixture
async def host(directory: Path, joiner: Joiner, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(supervisor, "MARGIN_S", 0.5)
    settings = Settings(llama=Llama(drain_timeout_seconds=0), runner=Runner(stop_grace_seconds=0))
    bus = joiner.create("metrics@testhost", "metrics")
    asker = joiner.create("gateway@testhost", "gateway")
    host = Host(SupervisorRpc(directory / "sock"), bus, asker, [])
    environ = {"SUPERVISOR_SERVER_URL": f"unix://{directory}/sock"}
    Supervisor(bus, LiveSettings(settings), host.spawn, environ)
    await joiner.start(bus, asker)
    return host


@pytest.mark.parametrize("name", ["obedient", "deaf", "once", "stopped"])
async def test_a_program_is_started_anew(host: Host, name: str) -> None:
    before = host.state(name)
    await host.restart(name)
    await host.another(before)


async def test_a_program_in_its_pause_is_started_at_once(host: Host) -> None:
    await until(lambda: host.state("failing").state == "BACKOFF")
    await host.restart("failing")
    async with asyncio.timeout(10):
        await asyncio.gather(*host.tasks)


async def test_asked_twice_it_happens_once(host: Host) -> None:
    before = host.state("obedient")
    await asyncio.gather(*(host.restart("obedient") for _ in range(5)))
    await host.another(before)
    assert len(host.tasks) == 1


async def test_an_unknown_program_is_named(host: Host) -> None:
    with pytest.raises(InvalidRequest, match="no program 'nobody'"):
        await host.restart("nobody")


async def test_without_a_supervisord_it_says_so(joiner: Joiner, tmp_path: Path) -> None:
    bus = joiner.create("metrics@testhost", "metrics")
    asker = joiner.create("gateway@testhost", "gateway")
    environ: dict[str, str] = {}
    host = Host(SupervisorRpc(tmp_path), bus, asker, [])
    Supervisor(bus, LiveSettings(Settings()), host.spawn, environ)
    await joiner.start(bus, asker)
    with pytest.raises(Unavailable, match="no supervisord that takes calls"):
        await host.restart("logs")
    environ["SUPERVISOR_SERVER_URL"] = "http://127.0.0.1:9001"
    with pytest.raises(Unavailable, match="no calls by a unix socket"):
        await host.restart("logs")
    environ["SUPERVISOR_SERVER_URL"] = f"unix://{tmp_path}/none"
    with pytest.raises(Unavailable, match="does not answer"):
        await host.restart("logs")
    assert host.tasks == []


def test_the_socket_is_told_by_the_environment() -> None:
    assert socket_of({"SUPERVISOR_SERVER_URL": "unix:///run/s.sock"}) == Path("/run/s.sock")
