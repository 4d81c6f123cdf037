from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import ModelLoadFailed
from tests.support.children import ENV, printed, python, running
from tests.support.loops import on_both_loops
from workers.runner.child import Child
from workers.runner.listeners import Listener, ask_kernel, read_table
from workers.runner.listening import free_port, listens
from workers.runner.proc import family, load_progress, read_stat

FOREVER = "import time; print('up', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}"


def alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.is_zombie


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while alive(pid):
            await asyncio.sleep(0.01)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output.log"


@pytest.fixture
def inheritable_fd() -> Iterator[int]:
    ours, other = os.pipe()
    os.set_inheritable(ours, True)
    yield ours
    os.close(ours)
    os.close(other)


@on_both_loops
async def test_both_streams_are_appended_and_the_exit_code_is_kept(output: Path) -> None:
    output.write_text("before\n")
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(7)"
    async with running(python(code), output) as child:
        assert await child.wait() == 7
        assert (child.ended, child.exit_code) == (True, 7)
    assert await printed(output, "err\n") == "before\nout\nerr\n"
    assert read_stat(child.pid) is None  # reaped


async def test_death_by_signal_is_a_negative_exit_code(output: Path) -> None:
    async with running(python("import os; os.abort()"), output) as child:
        assert await child.wait() == -signal.SIGABRT


async def test_a_child_has_a_session_of_its_own_and_inherits_nothing(
    output: Path, tmp_path: Path, inheritable_fd: int
) -> None:
    code = """
        import json, os
        status = open("/proc/self/status").read().split()
        listed = sorted(int(name) for name in os.listdir("/proc/self/fd"))
        print(json.dumps({
            "session": os.getsid(0), "group": os.getpgid(0), "cwd": os.getcwd(),
            "stdin": os.readlink("/proc/self/fd/0"),
            "fds": [fd for fd in listed if os.path.exists(f"/proc/self/fd/{fd}")],
            "blocked": status[status.index("SigBlk:") + 1],
            "variables": sorted(os.environ.keys() - {"LC_CTYPE"}),
        }))
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        async with running(python(code), output, cwd=tmp_path) as child:
            await child.wait()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    seen = json.loads(await printed(output, "}"))
    assert seen["session"] == seen["group"] == child.pid
    assert seen["stdin"] == "/dev/null"
    assert inheritable_fd not in seen["fds"]
    assert seen["fds"] == [0, 1, 2]
    assert seen["cwd"] == str(tmp_path)
    assert int(seen["blocked"], 16) == 0
    assert seen["variables"] == ["PATH"]


@on_both_loops
async def test_a_child_that_heeds_term_is_not_killed(output: Path) -> None:
    async with running(python(FOREVER), output) as child:
        await printed(output)
        await child.stop(grace_s=20)
        assert child.exit_code == -signal.SIGTERM


async def test_a_child_that_ignores_term_is_killed_after_the_grace_period(output: Path) -> None:
    async with running(python(DEAF), output) as child:
        await printed(output)
        await child.stop(grace_s=0.05)
        assert child.exit_code == -signal.SIGKILL


async def test_a_cancelled_stop_kills(output: Path) -> None:
    async with running(python(DEAF), output) as child:
        await printed(output)
        stopping = asyncio.create_task(child.stop(grace_s=600))
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        async with asyncio.timeout(20):
            assert await child.wait() == -signal.SIGKILL


async def test_stopping_twice_or_after_the_end_is_harmless(output: Path) -> None:
    async with running(python("pass"), output) as child:
        await child.wait()
        await asyncio.gather(child.stop(grace_s=1), child.stop(grace_s=1))
        child.kill()
        assert child.exit_code == 0


@pytest.mark.parametrize("leader", ["ends", "is stopped"])
async def test_what_the_child_started_ends_with_it(output: Path, leader: str) -> None:
    script = "sleep 600 & echo $! up; [ $1 = ends ] || wait"
    async with running(["/bin/sh", "-c", script, "sh", leader.split()[0]], output) as child:
        grandchild = int((await printed(output)).split()[0])
        await (child.wait() if leader == "ends" else child.stop(grace_s=20))
        await gone(grandchild)


@pytest.mark.parametrize("program", ["/nowhere/llama-server", "{tmp_path}/text", "{tmp_path}"])
async def test_a_program_that_cannot_run_is_a_failed_load(
    output: Path, tmp_path: Path, program: str
) -> None:
    (tmp_path / "text").write_text("not a program")
    program = program.format(tmp_path=tmp_path)
    with pytest.raises(ModelLoadFailed, match="could not be started") as caught:
        await Child.start([program], ENV, output)
    assert caught.value.details == {"reason": "engine_missing", "path": program}


async def test_output_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await Child.start(python(FOREVER), ENV, tmp_path / "nowhere" / "output.log")


def test_a_cancelled_start_leaves_no_process_behind(output: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()

    async def start_and_cancel() -> None:
        starting = asyncio.create_task(Child.start(["sleep", "600"], ENV, output, cwd=here))
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    # Closing the loop waits for the thread that starts the process.
    asyncio.run(start_and_cancel())
    assert output.exists()  # so the thread had begun
    assert [pid for pid in family(os.getpid()) if alive(pid) and working_in(pid, here)] == []


def working_in(pid: int, directory: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == directory
    except FileNotFoundError:
        return False


@pytest.fixture
def foreign_pid() -> Iterator[int]:
    """A process that was started by one that is gone: nobody's child that we could wait for."""
    code = f"""
        import subprocess, sys
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", {FOREVER!r}],
            start_new_session=True, stdout=subprocess.DEVNULL
        )
        print(child.pid)
    """
    pid = int(subprocess.check_output(python(code)))
    yield pid
    if alive(pid):
        os.kill(pid, signal.SIGKILL)


@on_both_loops
async def test_an_engine_is_handed_from_one_to_another(foreign_pid: int) -> None:
    stat = read_stat(foreign_pid)
    assert stat is not None
    first = Child.adopt(foreign_pid, stat.started_at)
    assert first is not None
    assert (first.started_at, first.ended) == (stat.started_at, False)
    first.release()
    assert alive(foreign_pid)

    second = Child.adopt(foreign_pid, stat.started_at)
    assert second is not None
    await second.stop(grace_s=20)
    assert (second.ended, second.exit_code) == (True, None)
    assert not alive(foreign_pid)


async def test_another_process_is_not_adopted(output: Path) -> None:
    async with running(python(FOREVER), output) as child:
        assert Child.adopt(child.pid, child.started_at + 1) is None
        await child.stop(grace_s=20)
        assert Child.adopt(child.pid, child.started_at) is None


async def test_a_released_child_lives_on(output: Path) -> None:
    child = await Child.start(python(FOREVER), ENV, output)
    pid = child.pid
    child.release()
    del child  # its finaliser would warn of a running child, and so fail the test
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, pid, 0)


LISTEN = """
    import socket, sys, time
    host, port, family = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    server = socket.create_server((host, port), family=family)
    print("up", flush=True)
    time.sleep(600)
"""
ANY = "0.0.0.0"  # noqa: S104 - what an engine may be told to listen on


@pytest.mark.parametrize(
    ("bound", "asked", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.2", "127.0.0.1", False),
        (ANY, "127.0.0.1", True),
        ("::", "127.0.0.1", True),
        ("::1", "::1", True),
    ],
)
async def test_whose_server_it_is(
    output: Path, foreign_pid: int, bound: str, asked: str, expected: bool
) -> None:
    if ":" in bound and not socket.has_dualstack_ipv6():
        pytest.skip("this host has no IPv6")
    port = free_port(bound)
    version = socket.AF_INET6 if ":" in bound else socket.AF_INET
    async with running(python(LISTEN, bound, port, int(version)), output) as child:
        await printed(output)
        assert listens(child.pid, asked, port) is expected
        assert listens(os.getpid(), asked, port) is expected  # as it is our child's
        assert not listens(foreign_pid, asked, port)
        await child.stop(grace_s=20)
        assert not listens(child.pid, asked, port)


async def test_a_port_shared_with_a_stranger_is_not_the_childs(output: Path) -> None:
    code = """
        import socket, sys, time
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", int(sys.argv[1])))
        server.listen()
        print("up", flush=True)
        time.sleep(600)
    """
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", 0))
        port = stranger.getsockname()[1]
        async with running(python(code, port), output) as child:
            await printed(output)
            assert listens(child.pid, "127.0.0.1", port)
            stranger.listen()
            assert not listens(child.pid, "127.0.0.1", port)


@pytest.mark.parametrize(
    ("version", "table", "host"),
    [(socket.AF_INET, "tcp", "127.0.0.1"), (socket.AF_INET6, "tcp6", "::1")],
)
def test_a_listener_is_found_both_ways(version: int, table: str, host: str) -> None:
    if version == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("this host has no IPv6")
    with socket.create_server((host, 0), family=version) as server:
        inode = os.fstat(server.fileno()).st_ino
        expected = Listener(ipaddress.ip_address(host), server.getsockname()[1], inode)
        for found in (list(ask_kernel(version)), list(read_table(table))):
            assert expected in found
    for found in (list(ask_kernel(version)), list(read_table(table))):
        assert expected not in found


@pytest.mark.parametrize("way", ["read", "map"])
async def test_progress_is_how_much_of_the_file_is_in_memory(
    output: Path, tmp_path: Path, way: str
) -> None:
    size = 64 * 1024 * 1024
    model = tmp_path / "model.gguf"
    go_on = tmp_path / "go-on"
    model.write_bytes(b"x" * size)
    code = """
        import mmap, os, sys, time
        file, size = open(sys.argv[1], "rb", buffering=0), int(sys.argv[2])
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        def load(start, end):
            if sys.argv[3] == "read":
                file.read(end - start)
            else:
                sum(mapped[start:end:4096])
        load(0, size // 2)
        print("half", flush=True)
        while not os.path.exists(sys.argv[4]):
            time.sleep(0.01)
        load(size // 2, size)
        print("whole", flush=True)
        time.sleep(600)
    """
    async with running(python(code, model, size, way, go_on), output) as child:
        await printed(output, "half")
        half = load_progress(child.pid, size)
        assert half is not None
        assert 0.45 < half < 0.9
        go_on.touch()
        await printed(output, "whole")
        assert load_progress(child.pid, size) == 1.0
    assert load_progress(child.pid, size) is None
