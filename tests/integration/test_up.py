"""`up` and `down` on a real supervisord, with stand-ins for our own processes."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from common.home import Home
from common.settings_source import load
from deploy import lock
from deploy.down import down
from deploy.ports import Port, PortUnusable, check_free, stack_ports
from deploy.presence import wait_until_present
from deploy.processes import home_of, stack_processes
from deploy.stack import Program, Stack
from tests.support.stand_in_stack import PROGRAMS, StandInStack, stand_in_stack
from tests.support.waiting import wait_for

# What `up` promises for a stop.
STOP_S = 15


@pytest.fixture
def stack() -> Iterator[StandInStack]:
    with stand_in_stack() as made:
        yield made


@pytest.fixture
def other_stack() -> Iterator[StandInStack]:
    with stand_in_stack() as made:
        yield made


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        # As our own proxies listen: a port check with the same option would not notice.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def ports_are_free(stack: StandInStack) -> bool:
    for port in stack_ports(load(stack.root, None, {})):
        check_free(port)
    return True


def test_up_says_in_five_lines_where_everything_is(stack: StandInStack) -> None:
    stack.up()
    lines = stack.announced().splitlines()
    assert len(lines) == 5
    for line, part in zip(
        lines,
        (
            f"http://127.0.0.1:{stack.server_port}/llamaproxws",
            f"http://127.0.0.1:{stack.llama_port}/v1",
            str(stack.root / "models"),
            str(stack.root / "logs"),
            f"llama-proxy down --home {stack.root}",
        ),
        strict=True,
    ):
        assert part in line
    assert "babble-demo" in lines[2]
    assert stack.errors() == ""


def test_everything_is_there_when_up_has_spoken(stack: StandInStack) -> None:
    stack.up()
    stack.announced()
    assert sorted(process.name for process in stack.status().processes) == sorted(PROGRAMS)
    assert (stack.root / "models" / "babble-demo.gguf").stat().st_size < 1 << 20
    assert (stack.root / "logs" / "gateway.log").exists()


def test_down_ends_up_and_all_that_it_started(stack: StandInStack) -> None:
    up = stack.up()
    stack.announced()
    assert down(stack.home) == f"stopped the stack of {stack.root}"
    assert up.wait(5) == 0
    assert stack.alive() == []
    assert ports_are_free(stack)
    assert down(stack.home) == f"nothing is running in {stack.root}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_alive(stack: StandInStack, number: signal.Signals) -> None:
    up = stack.up("runner-0=--engine," + f"{stack.root}:1", "gateway")
    stack.announced()
    assert any("signal.pause" in command for command in stack.alive())
    up.send_signal(number)
    assert up.wait(STOP_S) == 0
    assert stack.alive() == []


def test_an_engine_of_another_home_is_left_alone(
    stack: StandInStack, other_stack: StandInStack
) -> None:
    up = stack.up("runner-0=--engine," + f"{other_stack.root}:1", "gateway")
    stack.announced()
    up.send_signal(signal.SIGINT)
    assert up.wait(STOP_S) == 0
    assert len(other_stack.alive()) == 1


def test_what_ignores_term_is_killed_in_time(stack: StandInStack) -> None:
    up = stack.up("backplane=--ignore-term", "gateway")
    stack.announced()
    up.send_signal(signal.SIGTERM)
    assert up.wait(STOP_S) == 0
    assert stack.alive() == []


def test_a_second_signal_hurries(stack: StandInStack) -> None:
    up = stack.up("backplane=--ignore-term", "gateway")
    stack.announced()
    gateway = psutil.Process(stack.pid("gateway"))
    up.send_signal(signal.SIGINT)
    # The stop is under way and would wait for the one that ignores it.
    wait_for(lambda: not gateway.is_running())
    up.send_signal(signal.SIGINT)
    assert up.wait(4) == 0
    assert stack.alive() == []


def test_a_stop_right_after_the_start_leaves_nothing_alive(stack: StandInStack) -> None:
    up = stack.up()
    wait_for(lambda: stack_processes(stack.root))
    up.send_signal(signal.SIGTERM)
    assert up.wait(STOP_S) == 0
    assert stack.alive() == []
    assert stack.output() == ""


def test_a_second_up_of_a_home_names_the_first(stack: StandInStack) -> None:
    first = stack.up()
    stack.announced()
    second = stack.up()
    assert second.wait(10) == 1
    assert f"(pid {first.pid})" in stack.errors()
    assert len(stack.errors().splitlines()) == 1
    assert first.poll() is None
    assert sorted(process.name for process in stack.status().processes) == sorted(PROGRAMS)


@pytest.mark.parametrize("setting", ["server.port", "llama.port"])
def test_a_taken_port_ends_up_at_once_and_names_the_holder(
    stack: StandInStack, listener: socket.socket, setting: str
) -> None:
    port = listener.getsockname()[1]
    section, _, _ = setting.partition(".")
    stack.write_config(f"[{section}]\nport = {port}\n")
    assert stack.up().wait(10) == 1
    (line,) = stack.errors().splitlines()
    assert f"port {port} on 127.0.0.1 is taken by pid {psutil.Process().pid}: " in line
    assert shlex.join(psutil.Process().cmdline()) in line
    assert f"set {setting} (or LLAMA_PROXY_{section.upper()}__PORT) to another port" in line
    assert stack.alive() == []


def test_a_port_of_another_stack_is_named_with_its_home(
    stack: StandInStack, other_stack: StandInStack
) -> None:
    other_stack.up()
    other_stack.announced()
    stack.write_config(f"[server]\nport = {other_stack.server_port}\n")
    assert stack.up().wait(10) == 1
    assert f"taken by the llama-proxy stack of home {other_stack.root} (pid" in stack.errors()
    assert f"stop that with `llama-proxy down --home {other_stack.root}`" in stack.errors()


def test_a_port_that_lingers_after_a_connection_is_free() -> None:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        number = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)) as client:
            accepted, _ = listening.accept()
            # The side that closes first keeps the address for a minute (TIME_WAIT).
            accepted.close()
            assert client.recv(1) == b""
    check_free(Port("127.0.0.1", number, "server.port"))


def test_an_address_of_another_machine_cannot_be_used() -> None:
    with pytest.raises(PortUnusable, match="cannot be used: Cannot assign requested address"):
        check_free(Port("192.0.2.1", 3000, "server.port"))


def test_a_process_outside_of_any_stack_has_no_home() -> None:
    assert home_of(psutil.Process().pid) is None


def test_supervisord_is_started_again_without_a_second_set(stack: StandInStack) -> None:
    stack.up()
    stack.announced()
    before = {process.name: process.pid for process in stack.status().processes}
    psutil.Process(stack.supervisord_pid()).kill()

    def renewed() -> bool:
        present = {path.stem for path in stack.home.run.glob("*.present")}
        pids = {int((stack.home.run / f"{name}.present").read_text()) for name in present}
        return len(pids) == len(PROGRAMS) and not pids & set(before.values())

    wait_for(renewed)
    # supervisord and one process per program.
    assert len(stack.alive()) == 1 + len(PROGRAMS)
    assert "supervisord ended with code -9" in stack.errors()


def test_the_stack_of_a_killed_up_is_replaced_by_the_next(stack: StandInStack) -> None:
    first = stack.up()
    stack.announced()
    first.kill()
    first.wait()
    assert lock.owner(stack.home) is None
    stack.up()
    stack.announced()
    assert len(stack.alive()) == 1 + len(PROGRAMS)


def test_down_stops_the_stack_of_a_killed_up(stack: StandInStack) -> None:
    up = stack.up()
    stack.announced()
    up.kill()
    up.wait()
    assert down(stack.home) == f"stopped what was left of the stack of {stack.root}"
    assert stack.alive() == []


def test_a_supervisord_that_cannot_start_ends_up_with_its_reason(stack: StandInStack) -> None:
    (stack.root / "logs" / "supervisord.log").mkdir(parents=True)
    assert stack.up().wait(10) == 1
    assert "supervisord ended with code" in stack.errors()
    assert "supervisord.log" in stack.errors()
    assert stack.alive() == []


def test_a_wrong_setting_ends_up_before_anything_starts(stack: StandInStack) -> None:
    stack.write_config("[server]\nport = 0\n")
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "up", "--home", str(stack.root)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 1
    assert "server.port: given 0; allowed is a whole number from 1 to 65535" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not stack.home.lock_file.exists()


def test_a_first_start_writes_a_file_to_edit_and_later_ones_keep_it(stack: StandInStack) -> None:
    text = stack.home.config_file.read_text()
    models = stack.root / "models"
    models.mkdir()
    (models / "mine.gguf").write_bytes(b"")
    stack.up()
    assert "babble-demo" not in stack.announced()
    assert stack.home.config_file.read_text() == text
    assert [path.name for path in models.iterdir()] == ["mine.gguf"]


def test_what_is_missing_is_named_with_its_log(stack: StandInStack) -> None:
    settings = load(stack.root, None, {})
    unstarted = Stack(Home(stack.root), None, settings, [Program("metrics", "none", 10)])
    presence = wait_until_present(unstarted, 0.1, threading.Event())
    assert not presence.complete
    assert presence.explain(unstarted) == [
        f"metrics is not there (not started): see {stack.root}/logs/metrics.log",
        f"nothing answers at http://127.0.0.1:{stack.server_port}",
    ]


def test_a_program_that_crashes_is_missing_and_the_rest_is_there(stack: StandInStack) -> None:
    stack.up("backplane", "gateway", "broken=--no-such-argument")
    wait_for(lambda: stack.alive() and (stack.home.run / "gateway.present").exists())
    settings = load(stack.root, None, {})
    names = ("backplane", "gateway", "broken")
    seen = Stack(Home(stack.root), None, settings, [Program(name, "none", 10) for name in names])

    def one_is_missing() -> bool:
        presence = wait_until_present(seen, 0.1, threading.Event())
        return presence.answers and presence.missing == ("broken",)

    wait_for(one_is_missing)
