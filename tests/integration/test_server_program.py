"""Which programs may become the engine through the API."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_for
from workers.controller.configuration import server_program
from workers.controller.configuration.server_program import is_llama_server, misplaced, problem_of

HELP = "\n".join(
    (
        "----- common params -----",
        "-m,    --model FNAME         model path to load",
        "-c,    --ctx-size N          size of the prompt context",
        "-ngl,  --gpu-layers, --n-gpu-layers N",
        "--host HOST                  ip address to listen",
        "--port PORT                  port to listen",
    )
)


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    """Not below a directory that others may write to, as /tmp is."""
    directory = tmp_path / "bin"
    directory.mkdir(mode=0o755)
    return directory


def program(directory: Path, name: str = "llama-server", body: str | None = None) -> Path:
    path = directory / name
    path.write_text("#!/bin/sh\n" + (body or f"cat <<'END'\n{HELP}\nEND\n"))
    path.chmod(0o755)
    return path


async def test_a_llama_server_in_an_allowed_directory_may_be_used(allowed: Path) -> None:
    for name in ("llama-server", "llama-server-cuda"):
        assert await problem_of(program(allowed, name), [allowed], os.environ) is None


@pytest.mark.parametrize("body", ["echo hello", "exit 1", "kill -9 $$", "echo --model --port"])
async def test_another_program_of_that_name_is_refused(allowed: Path, body: str) -> None:
    problem = await problem_of(program(allowed, body=body), [allowed], os.environ)
    assert problem is not None
    assert "llama.cpp" in problem


async def test_a_program_that_says_nothing_is_given_up_and_ended(
    allowed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server_program, "HELP_TIMEOUT_S", 0.3)
    note = tmp_path / "pids"
    silent = program(allowed, body=f"sleep 600 &\necho $$ $! > {note}\nwait\n")
    assert await problem_of(silent, [allowed], os.environ) is not None
    pids = [int(pid) for pid in note.read_text().split()]
    wait_for(lambda: not any(lives(pid) for pid in pids))


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_program_that_never_stops_talking_is_given_up(allowed: Path) -> None:
    began = time.monotonic()
    endless = program(allowed, body="while :; do echo 0123456789012345678901234567890; done")
    assert await problem_of(endless, [allowed], os.environ) is not None
    assert time.monotonic() - began < server_program.HELP_TIMEOUT_S + 30


async def test_it_does_not_see_our_settings(allowed: Path, tmp_path: Path) -> None:
    note = tmp_path / "environment"
    telling = program(allowed, body=f"env > {note}")
    await problem_of(telling, [allowed], {"LLAMA_PROXY_X": "1", "LLAMA_ARG_PORT": "2", "A": "3"})
    said = note.read_text()
    assert "A=3" in said
    assert "LLAMA" not in said


def test_where_it_may_not_lie(allowed: Path, tmp_path: Path) -> None:
    assert misplaced(program(allowed), [allowed]) is None
    assert "allowedServerDirs" in str(misplaced(program(tmp_path), [allowed]))
    assert "allowedServerDirs" in str(misplaced(program(allowed), []))
    assert "allowedServerDirs" in str(misplaced(allowed / ".." / "llama-server", [allowed]))
    assert "called llama-server" in str(misplaced(Path(sys.executable), [Path("/")]))
    assert "absolute" in str(misplaced(Path("llama-server"), [allowed]))
    assert "is there" in str(misplaced(allowed / "llama-server-none", [allowed]))
    assert "is there" in str(misplaced(Path("/llama-server\0"), [allowed]))


def test_what_must_be_a_program(allowed: Path) -> None:
    directory = allowed / "llama-server-directory"
    directory.mkdir(mode=0o755)
    assert "can be run" in str(misplaced(directory, [allowed]))
    plain = program(allowed)
    plain.chmod(0o644)
    assert "can be run" in str(misplaced(plain, [allowed]))


def test_a_link_must_lead_to_an_allowed_place(allowed: Path, tmp_path: Path) -> None:
    link = allowed / "llama-server"
    link.symlink_to(program(tmp_path, "anything"))
    assert "allowedServerDirs" in str(misplaced(link, [allowed]))
    link.unlink()
    versions = allowed / "b1234"
    versions.mkdir(mode=0o755)
    link.symlink_to(program(versions, "server"))
    assert misplaced(link, [allowed]) is None


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_nobody_else_may_be_able_to_change_it(allowed: Path, mode: int) -> None:
    inner = allowed / "inner"
    inner.mkdir(mode=0o755)
    found = program(inner)
    for place in (found, inner, allowed):
        place.chmod(mode)
        assert "others may write" in str(misplaced(found, [allowed]))
        place.chmod(0o755)
    assert misplaced(found, [allowed]) is None


def test_a_help_text_is_known_by_its_flags() -> None:
    assert is_llama_server(HELP)
    assert not is_llama_server(HELP.replace("--ctx-size", "--context"))
    assert not is_llama_server("")
