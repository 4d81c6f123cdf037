from __future__ import annotations

import getpass
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import ConfigInvalid
from common.home import Home
from deploy.systemd_unit import TEMPLATE, command, render_unit


def value(unit: str, key: str) -> str:
    (found,) = (line for line in unit.splitlines() if line.startswith(f"{key}="))
    return found.partition("=")[2]


def words(command_line: str) -> list[str]:
    """As systemd reads it; for what is used here, its quotes are a shell's."""
    literal = command_line.replace("$$", "\0").replace("%%", "%")
    assert "$" not in literal
    return [word.replace("\0", "$") for word in shlex.split(literal)]


def test_the_unit_runs_up_as_this_user_and_stops_by_down() -> None:
    unit = render_unit(Home(Path("/srv/home")), None)
    script = str(Path(sys.executable).with_name("llama-proxy"))
    assert words(value(unit, "ExecStart")) == [script, "up", "--quiet", "--home", "/srv/home"]
    assert words(value(unit, "ExecStop")) == [script, "down", "--home", "/srv/home"]
    assert value(unit, "User") == getpass.getuser()
    assert value(unit, "Restart") == "always"
    # Else systemd would kill the engines with the process that died.
    assert value(unit, "KillMode") == "process"
    assert value(unit, "OOMPolicy") == "continue"
    assert "@" not in unit
    assert unit.startswith("[Unit]\n")


def test_the_file_of_config_is_named() -> None:
    unit = render_unit(Home(Path("/srv/home")), Path("/etc/llama proxy.toml"))
    assert words(value(unit, "ExecStart"))[-2:] == ["--config", "/etc/llama proxy.toml"]


@pytest.mark.parametrize(
    "name", ["with space", "100%", "$HOME", "it's", 'say "hi"', "back\\slash", "ünï", "semi;", "%h"]
)
def test_odd_names_of_home_survive(name: str) -> None:
    root = Path("/srv") / name
    unit = render_unit(Home(root), None)
    assert words(value(unit, "ExecStart"))[-1] == str(root)
    assert words(value(unit, "ExecStop"))[-1] == str(root)


def test_a_home_that_systemd_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="systemd cannot hold"):
        render_unit(Home(Path("/srv/line\nbreak")), None)


def test_without_an_installed_command_there_is_no_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigInvalid, match=f"there is no {tmp_path}/llama-proxy"):
        command()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("name", ["home", 'my 100% $x "home'])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, name: str) -> None:
    unit = tmp_path / TEMPLATE.name
    unit.write_text(render_unit(Home(tmp_path / name), None))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
