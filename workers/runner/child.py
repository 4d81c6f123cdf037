"""One engine process: started, watched, stopped, always reaped.

An engine is a session of its own, so that it outlives the runner and can be ended with all that it
started. It is watched through a pidfd, which works for a process that is not our child as well: a
runner that takes over from another one adopts its engines (`Child.adopt`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import ModelLoadFailed
from workers.runner.proc import read_stat

_OUTPUT_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_OUTPUT_MODE = 0o600  # prompts may be in it


class Child:
    """A running or ended engine; belongs to the event loop in which it was made.

    `started_at` is in clock ticks after boot: with the pid it names one process until the next
    boot. `exit_code` is as `subprocess` has it, -N for signal N; None while the engine runs, and
    for an adopted one for ever.
    """

    def __init__(self, pid: int, process: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.exit_code: int | None = None
        self._process = process
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(pid)
        # Read when the pidfd is open: from then on the pid cannot pass to another process unseen.
        stat = read_stat(pid)
        self.started_at = stat.started_at if stat else 0
        self._loop.add_reader(self._pidfd, self._on_end)

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        env: Mapping[str, str],
        output_path: Path,
        cwd: Path | None = None,
    ) -> Child:
        """Run a program in a new session, its stdout and stderr appended to `output_path`.

        Raises `ModelLoadFailed` where the program cannot be run and OSError where the output file
        cannot be opened. A cancelled start leaves no process behind.
        """
        # Not a task: a loop cancels its tasks when it closes, and the process would be lost.
        spawning = asyncio.get_running_loop().run_in_executor(
            None, _spawn, argv, env, output_path, cwd
        )
        try:
            process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            spawning.add_done_callback(_discard)
            raise
        try:
            return cls(process.pid, process)
        except OSError:  # out of file descriptors
            _discard(spawning)
            raise

    @classmethod
    def adopt(cls, pid: int, started_at: int) -> Child | None:
        """Watch a process that another runner started; None if it is gone or another one."""
        try:
            child = cls(pid, None)
        except ProcessLookupError:
            return None
        stat = read_stat(pid)
        if stat is None or stat.is_zombie or stat.started_at != started_at:
            child.release()
            return None
        return child

    @property
    def ended(self) -> bool:
        """True once it has ended and, if it was ours, has been reaped."""
        return self._ended.is_set()

    async def wait(self) -> int | None:
        """Wait for its end; returns the exit code, None for an adopted one."""
        await self._ended.wait()
        return self.exit_code

    async def stop(self, grace_s: float) -> None:
        """Ask it to end (TERM), wait, then end it (KILL); returns when it is gone.

        Engines do not act on TERM while a stream is open. Cancelled, this kills at once.
        """
        self._signal(signal.SIGTERM)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self.wait()
        finally:
            self.kill()
        await self.wait()

    def kill(self) -> None:
        """End it and what it started, at once; `wait` returns when that is done."""
        self._signal(signal.SIGKILL)

    def release(self) -> None:
        """Let go of it without ending it, for a handover; nothing else may be called after this."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._process is not None and self._process.returncode is None:
            # Popen's finaliser complains about a child that still runs, which is the point here.
            self._process.returncode = 0

    def _signal(self, number: signal.Signals) -> None:
        """Signal the whole group: where a wrapper script is the leader, the engine in it too."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            # Through the pidfd first: an adopted engine's pid may be another's once it has ended.
            signal.pidfd_send_signal(self._pidfd, 0)
            os.killpg(self.pid, number)

    def _on_end(self) -> None:
        if self._process is not None:
            # As long as its leader is not reaped, the group cannot be anybody else's.
            _kill_group(self.pid)
            self.exit_code = self._process.wait()
        self.release()
        self._ended.set()


def _spawn(
    argv: Sequence[str], env: Mapping[str, str], output_path: Path, cwd: Path | None
) -> subprocess.Popen[bytes]:
    output = os.open(output_path, _OUTPUT_FLAGS, _OUTPUT_MODE)
    # What a thread has blocked stays blocked in what it starts; an engine must hear SIGTERM.
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        return subprocess.Popen(  # noqa: S603 - an argument list, never a shell
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        raise ModelLoadFailed(
            f"The engine {argv[0]} could not be started: {error.strerror}. Check llama.serverPath.",
            details={"reason": "engine_missing", "path": argv[0]},
        ) from error
    finally:
        os.close(output)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _discard(spawning: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    """End a process that nobody will watch."""
    if not spawning.cancelled() and spawning.exception() is None:
        process = spawning.result()
        _kill_group(process.pid)
        process.wait()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
