from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from common.devices import Gpu
from common.errors import ConfigInvalid
from common.home import Home
from common.settings import Llama, Logging, Proxy, Runner, Settings
from deploy.render import CODE_ROOT, render_full, render_own, render_programs
from deploy.stack import Program, Stack, stack_programs
from deploy.supervisord import stages


def gpu(number: int) -> Gpu:
    return Gpu(f"GPU-{number}", number, "H200", 141 << 30, 140 << 30, 0.0)


def stack_in(root: Path, settings: Settings | None = None, config: Path | None = None) -> Stack:
    settings = settings or Settings()
    return Stack(Home(root), config, settings, stack_programs(settings, [gpu(0), gpu(1)]))


def read_by_supervisord(stack: Stack) -> Any:
    """What supervisord's own option parser makes of the rendered file."""
    stack.home.prepare(stack.settings)
    conf = stack.home.supervisord_conf
    conf.write_text(render_full(stack))
    options = ServerOptions()
    options.realize(["-n", "-c", str(conf)])
    return options


def programs_of(options: Any) -> dict[str, Any]:
    return {
        process.name: process
        for group in options.process_group_configs
        for process in group.process_configs
    }


def test_supervisord_reads_every_program(short_path: Path) -> None:
    stack = stack_in(short_path)
    options = read_by_supervisord(stack)
    programs = programs_of(options)
    assert list(programs) == [
        "backplane",
        "controller",
        "logs",
        "metrics",
        "runner-0",
        "runner-1",
        "gateway",
        "proxy",
    ]
    assert options.nodaemon
    assert options.silent
    assert options.logfile == str(short_path / "logs" / "supervisord.log")
    assert options.pidfile == str(stack.home.run / "supervisord.pid")
    (server,) = options.server_configs
    assert server["file"] == str(stack.home.supervisord_socket)
    assert server["chmod"] == 0o700


def test_a_program_is_retried_for_ever_and_stopped_with_its_group(short_path: Path) -> None:
    for name, program in programs_of(read_by_supervisord(stack_in(short_path))).items():
        assert program.startsecs == 1
        assert program.startretries == 1_000_000
        assert program.autorestart is not False
        assert program.stopasgroup
        assert program.killasgroup
        assert program.redirect_stderr
        assert program.stdout_logfile == str(short_path / "logs" / f"{name}.log")
        assert program.stdout_logfile_maxbytes > 0
        assert program.stdout_logfile_backups > 0


def test_a_command_names_home_file_and_device(short_path: Path) -> None:
    config = short_path / "my config.toml"
    programs = programs_of(read_by_supervisord(stack_in(short_path, config=config)))
    assert shlex.split(programs["runner-1"].command) == [
        *(sys.executable, "-m", "workers.runner", "--home", str(short_path)),
        *("--config", str(config), "--name", "runner-1", "--devices", "GPU-1"),
    ]
    assert shlex.split(programs["proxy"].command)[2] == "gateway.proxy"
    assert programs["proxy"].directory == str(CODE_ROOT)
    assert programs["proxy"].environment == {"LLAMA_PROXY_HOME": str(short_path)}


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "100%",
        "%(here)s",
        "it's",
        'say "hi" to',
        "semi;colon",
        "#1",
        "ünï",
        "a,b=c",
        "$X",
    ],
)
def test_odd_names_of_home_survive(short_path: Path, name: str) -> None:
    root = short_path / name
    programs = programs_of(read_by_supervisord(stack_in(root)))
    assert len(programs) == 8
    for program in programs.values():
        assert shlex.split(program.command)[4] == str(root)
        assert program.environment == {"LLAMA_PROXY_HOME": str(root)}
        assert program.stdout_logfile.startswith(str(root / "logs"))


@pytest.mark.parametrize(
    "name",
    ["a #1", "a ;b", "line\nbreak", "tab\t#", "space ", """both ' and " in""", 'at the end"'],
)
def test_a_home_that_supervisord_cannot_hold_is_refused(short_path: Path, name: str) -> None:
    with pytest.raises(ConfigInvalid, match="supervisord cannot hold"):
        render_full(stack_in(short_path / name))


def test_a_log_directory_that_supervisord_cannot_hold_is_refused(short_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="supervisord cannot hold"):
        render_programs(stack_in(short_path, Settings(logging=Logging(path="/logs #2"))))


def test_render_programs_has_nothing_else(short_path: Path) -> None:
    text = render_programs(stack_in(short_path))
    sections = [line for line in text.splitlines() if line.startswith("[")]
    assert len(sections) == 8
    assert all(section.startswith("[program:") for section in sections)


def test_each_of_several_proxies_is_a_program_of_its_own(short_path: Path) -> None:
    stack = stack_in(short_path, Settings(proxy=Proxy(processes=2)))
    programs = programs_of(read_by_supervisord(stack))
    assert [name for name in programs if "proxy" in name] == ["proxy-0", "proxy-1"]
    for name in ("proxy-0", "proxy-1"):
        command = shlex.split(programs[name].command)
        assert command[2] == "gateway.proxy"
        assert command[-2:] == ["--name", name]
        assert programs[name].stopwaitsecs > stack.settings.llama.drain_timeout_seconds
    for text in (render_full(stack), render_programs(stack), render_own(stack)):
        sections = [line for line in text.splitlines() if line.startswith("[program:proxy")]
        assert sections == ["[program:proxy-0]", "[program:proxy-1]"]
    assert stages(stack.programs)[0] == ["gateway", "proxy-0", "proxy-1"]


def test_without_a_gpu_one_runner_uses_the_cpu() -> None:
    runners = [p for p in stack_programs(Settings(), []) if p.module == "workers.runner"]
    assert [(p.name, p.arguments) for p in runners] == [("runner-cpu", ())]


def test_supervisord_waits_longer_than_the_drain() -> None:
    settings = Settings(
        llama=Llama(drain_timeout_seconds=100), runner=Runner(stop_grace_seconds=20)
    )
    wait_s = {program.name: program.stop_wait_s for program in stack_programs(settings, [])}
    assert wait_s["proxy"] > 100
    assert wait_s["runner-cpu"] > 120


def test_who_takes_requests_stops_first_and_the_backplane_last() -> None:
    assert stages(stack_programs(Settings(), [gpu(0), gpu(1)])) == [
        ["gateway", "proxy"],
        ["runner-0", "runner-1"],
        ["controller", "logs", "metrics"],
        ["backplane"],
    ]


def test_programs_of_one_priority_stop_together() -> None:
    programs = [Program("a", "a", 1), Program("b", "b", 2), Program("c", "c", 1)]
    assert stages(programs) == [["b"], ["a", "c"]]
