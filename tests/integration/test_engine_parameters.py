"""What a runner says of its engine's flags, asked over the backplane or directly."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.api import parameters
from common.api.parameters import DescribeParameters, EngineParameters, Parameter
from common.engine_flags.catalogue import Catalogue
from common.engine_flags.shipped import PARAMETERS, VERSION
from common.engine_flags.validation import Facts, validate
from common.errors import ModelLoadFailed
from tests.support import fake_llama_server
from tests.support.bus import Joiner
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.loops import on_both_loops
from tests.support.waiting import until
from workers import engine_help
from workers.runner import parameters as runner_parameters
from workers.runner.engine import Engine, arguments
from workers.runner.parameters import ParameterSource

ASK = DescribeParameters()


def write_program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def counting(directory: Path, text: str = fake_llama_server.HELP) -> Path:
    """A program that prints a help, and notes in `asked` each time that it is asked for it."""
    (directory / "help").write_text(text)
    noted, shown = shlex.quote(f"{directory}/asked"), shlex.quote(f"{directory}/help")
    script = f'[ "$1" = --version ] && exit 1\necho "$1" >>{noted}\ncat {shown}'
    return write_program(directory / "llama-server", script)


def times_asked(directory: Path) -> int:
    asked = directory / "asked"
    return len(asked.read_text().splitlines()) if asked.exists() else 0


def source_for(program: Path | None, directory: Path) -> ParameterSource:
    engine = Engine("llama-server", (str(program),)) if program else Engine("embedded", ())
    return ParameterSource(lambda: engine, directory / "cache", dict(os.environ))


async def test_a_llama_server_is_asked_over_the_backplane(joiner: Joiner, tmp_path: Path) -> None:
    runner, controller = joiner.create("cpu@testhost", "runner"), joiner.create("controller")
    program = write_fake_llama_server(tmp_path)
    runner.serve(parameters.PARAMETERS, source_for(program, tmp_path).describe)
    await joiner.start(runner, controller)
    told = await controller.call("cpu@testhost", parameters.PARAMETERS, ASK, timeout_s=20)
    assert (told.kind, told.path, told.version) == ("llama-server", str(program), "0.0.1 (fake)")
    flags = {parameter.name: parameter for parameter in told.parameters}
    assert flags["ctx-size"].env == "LLAMA_ARG_CTX_SIZE"
    assert (flags["host"].reserved, flags["ctx-size"].reserved) == (True, False)
    assert told.removed[0].names == ("draft", "draft-max")

    catalogue = Catalogue(told.parameters, told.removed)
    assert validate({"*": {"c": "4096"}}, catalogue, Facts()).all == ()
    (error,) = validate({"*": {"draft": "4"}}, catalogue, Facts()).errors
    assert "use --spec-draft-n-max" in error.message


async def test_all_flags_of_a_real_engine_fit_into_one_answer(joiner: Joiner) -> None:
    runner, controller = joiner.create("cpu@testhost", "runner"), joiner.create("controller")

    async def shipped(_request: DescribeParameters) -> EngineParameters:
        return runner_parameters.shipped_parameters()

    runner.serve(parameters.PARAMETERS, shipped)
    await joiner.start(runner, controller)
    told = await controller.call("cpu@testhost", parameters.PARAMETERS, ASK, timeout_s=20)
    assert len(told.parameters) == len(PARAMETERS)


async def test_the_embedded_engine_tells_its_table(tmp_path: Path) -> None:
    told = await source_for(None, tmp_path).describe(ASK)
    assert (told.kind, told.path) == ("embedded", "")
    assert told.version.startswith("xllamacpp 20")
    assert {"ctx-size", "mmproj"} <= {parameter.name for parameter in told.parameters}


async def test_a_program_is_asked_once_for_each_version_of_it(tmp_path: Path) -> None:
    program = counting(tmp_path)
    source = source_for(program, tmp_path)
    first, again = await asyncio.gather(source.describe(ASK), source.describe(ASK))
    assert first == again
    assert (first.kind, first.version) == ("llama-server", "")
    assert times_asked(tmp_path) == 1

    # A successor finds on disk what it said.
    assert await source_for(program, tmp_path).describe(ASK) == first
    assert times_asked(tmp_path) == 1

    (tmp_path / "help").write_text(
        fake_llama_server.HELP + "--brand-new N       new (default: 7)\n"
    )
    os.utime(program, ns=(1, 1))
    assert len((await source.describe(ASK)).parameters) == len(first.parameters) + 1
    assert times_asked(tmp_path) == 2


@pytest.mark.parametrize("kept", [b"", b"{}", b"\xff", b'{"format": 0}'])
async def test_what_is_on_disk_need_not_be_right(tmp_path: Path, kept: bytes) -> None:
    program = counting(tmp_path)
    await source_for(program, tmp_path).describe(ASK)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(kept)
    assert (await source_for(program, tmp_path).describe(ASK)).kind == "llama-server"
    assert times_asked(tmp_path) == 2


async def test_a_disk_that_takes_nothing_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a directory")
    assert (await source_for(counting(tmp_path), tmp_path).describe(ASK)).kind == "llama-server"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo some other program", "is not that of a llama.cpp server"),
        ("exit 3", "it ended with code 3"),
        (f"cat {shlex.quote('/nowhere')} 2>/dev/null; kill -9 $$", "it ended with code -9"),
        ("yes endless", "it prints more than"),
    ],
)
async def test_a_program_that_is_none_gets_the_shipped_catalogue(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, script: str, why: str
) -> None:
    noted = f'[ "$1" = --version ] || echo "$1" >>{shlex.quote(str(tmp_path))}/asked'
    program = write_program(tmp_path / "llama-server", f"{noted}\n{script}")
    source = source_for(program, tmp_path)
    told = await source.describe(ASK)
    assert (told.kind, told.version, told.path) == ("shipped", VERSION, "")
    assert len(told.parameters) == len(PARAMETERS)
    assert why in caplog.text
    # It is not asked again at once.
    assert await source.describe(ASK) == told
    assert times_asked(tmp_path) == 1


async def test_a_program_that_is_gone_gets_the_shipped_catalogue(tmp_path: Path) -> None:
    assert (await source_for(tmp_path / "gone", tmp_path).describe(ASK)).kind == "shipped"


async def test_a_setting_that_names_no_program_gets_the_shipped_catalogue(tmp_path: Path) -> None:
    def find() -> Engine:
        raise ModelLoadFailed("there is no engine")

    source = ParameterSource(find, tmp_path, {})
    assert (await source.describe(ASK)).kind == "shipped"


@pytest.mark.parametrize("starting", [False, True])
async def test_a_program_that_never_ends_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starting: bool
) -> None:
    loop = asyncio.get_running_loop()
    start = loop.subprocess_exec

    async def start_slowly(*program: Any, **how: Any) -> Any:
        started = await start(*program, **how)
        await asyncio.sleep(1)
        return started

    if starting:
        monkeypatch.setattr(loop, "subprocess_exec", start_slowly)
    pid_file = tmp_path / "pid"
    program = write_program(tmp_path / "slow", f"sleep 1000 & echo $! >{pid_file}\nwait")
    asking = asyncio.create_task(engine_help.ask([str(program)], os.environ, patience_s=60))
    await until(lambda: pid_file.exists() and pid_file.read_text().strip(), timeout_s=30)
    sleeper = psutil.Process(int(pid_file.read_text()))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: has_ended(sleeper), timeout_s=20)


def has_ended(process: psutil.Process) -> bool:
    """Whether it has, collected or not: an orphan's new parent may take its time."""
    try:
        status: str = process.status()
    except psutil.NoSuchProcess:
        return True
    return status == psutil.STATUS_ZOMBIE


@on_both_loops
async def test_patience_ends() -> None:
    endless = [sys.executable, "-c", "import signal; signal.pause()"]
    with pytest.raises(engine_help.NoAnswer, match=r"did not end within 0\.1 s"):
        await engine_help.ask(endless, os.environ, patience_s=0.1)


@on_both_loops
async def test_what_leaves_the_programs_session_holds_nobody_up(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = write_program(tmp_path / "slow", f"setsid sleep 1000 & echo $! >{pid_file}")
    async with asyncio.timeout(30):
        with pytest.raises(engine_help.NoAnswer, match="did not end"):
            await engine_help.ask([str(program)], os.environ, patience_s=5)
    psutil.Process(int(pid_file.read_text())).kill()


@on_both_loops
async def test_what_a_program_says_on_both_outputs_is_heard(tmp_path: Path) -> None:
    program = write_program(tmp_path / "both", "echo one; echo two >&2")
    assert await engine_help.ask([str(program)], os.environ, patience_s=60) == "one\ntwo\n"


@on_both_loops
async def test_a_program_that_prints_without_end_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = write_program(tmp_path / "endless", f"echo $$ >{pid_file}; exec yes")
    with pytest.raises(engine_help.NoAnswer, match="prints more than"):
        await engine_help.ask([str(program)], os.environ, patience_s=60)
    pid = int(pid_file.read_text())
    await until(lambda: not psutil.pid_exists(pid))


@on_both_loops
async def test_what_cannot_be_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(engine_help.NoAnswer, match="cannot be run"):
        await engine_help.ask([str(tmp_path)], {})


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("version: 0.5.0 (build 1)\nbuilt with GNU", "0.5.0 (build 1)"),
        ("some noise\nversion: 6103 (abc)\n", "6103 (abc)"),
        ("", ""),
        ("no version here", ""),
    ],
)
def test_the_version_is_read(text: str, version: str) -> None:
    assert engine_help.version_in(text) == version


@pytest.fixture
def real_engine() -> str:
    program = os.environ.get("TEST_LLAMA_SERVER")
    if not program:
        pytest.skip("TEST_LLAMA_SERVER names no llama-server")
    return program


async def test_a_real_engine_tells_its_flags(real_engine: str, tmp_path: Path) -> None:
    told = await source_for(Path(real_engine), tmp_path).describe(ASK)
    assert told.kind == "llama-server"
    assert told.version
    assert len(told.parameters) > 200


async def test_a_real_engine_takes_what_we_say_is_right(real_engine: str, tmp_path: Path) -> None:
    told = await source_for(Path(real_engine), tmp_path).describe(ASK)
    engine = Engine("llama-server", (real_engine,))
    words = [real_engine]
    for parameter in told.parameters:
        if not parameter.reserved:
            for value in right_values(parameter):
                flags = {parameter.name: value}
                argv = arguments(engine, model_path="x", host="x", port=1, alias=None, flags=flags)
                words += argv[1:]
    assert len(words) > 1000
    # It reads its arguments in order, and ends at this one.
    ended = subprocess.run([*words, "--version"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def right_values(parameter: Parameter) -> set[str]:
    """The default, the choices and the bounds."""
    if parameter.type == "bool":
        return {"true", "false"}
    values = {parameter.default, *parameter.choices} - {""}
    if parameter.range:
        bounds = {parameter.range.min, parameter.range.max} - {None}
        values |= {f"{bound:.10g}" for bound in bounds}
    return values
