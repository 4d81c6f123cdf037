from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from common.errors import ConfigInvalid
from common.home import SOCKET_NAME_BYTES, SOCKET_PATH_BYTES, Home, find_home
from common.settings import Llama, Logging, Settings

CHECKOUT = Path(__file__).parents[2]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def long_root(short_path: Path) -> Path:
    return short_path / ("long" * 20) / "home"


@pytest.fixture
def runtime(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = short_path / "runtime"
    directory.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    return directory


def test_the_option_wins_over_the_variable_and_that_over_the_default(tmp_path: Path) -> None:
    environ = {"LLAMA_PROXY_HOME": str(tmp_path / "variable"), "XDG_STATE_HOME": "/state"}
    assert find_home(tmp_path / "option", environ).root == tmp_path / "option"
    assert find_home(None, environ).root == tmp_path / "variable"


def test_in_a_checkout_the_default_is_var() -> None:
    assert find_home(None, {}).root == CHECKOUT / "var"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("/state", Path("/state/llama-proxy")),
        ("relative", Path.home() / ".local/state/llama-proxy"),
        ("", Path.home() / ".local/state/llama-proxy"),
    ],
)
def test_elsewhere_the_default_is_the_state_directory(
    monkeypatch: pytest.MonkeyPatch, state: str, expected: Path
) -> None:
    monkeypatch.setattr("common.home.DISTRIBUTION", "another project")
    assert find_home(None, {"XDG_STATE_HOME": state}).root == expected


def test_one_home_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_home(Path("link/home"), {}).root == find_home(Path("home"), {}).root


def test_relative_paths_of_settings_are_relative_to_home() -> None:
    home = Home(Path("/home/me/stack"))
    assert home.logs(Settings()) == Path("/home/me/stack/logs")
    assert home.models(Settings()) == Path("/home/me/stack/models")
    settings = Settings(llama=Llama(models_dir="/models"), logging=Logging(path="~/logs"))
    assert home.models(settings) == Path("/models")
    assert home.logs(settings) == Path.home() / "logs"


def test_prepare_makes_a_private_home_and_can_be_repeated(short_path: Path) -> None:
    home = Home(short_path / "new" / "home")
    for _ in range(2):
        home.prepare(Settings())
    assert mode(home.root) == mode(home.run) == 0o700
    assert home.run == home.root / "run"
    for directory in (home.cache, home.engines, home.root / "logs", home.root / "models"):
        assert directory.is_dir()


def test_run_is_made_private_again(short_path: Path) -> None:
    home = Home(short_path)
    (short_path / "run").mkdir(mode=0o755)
    home.prepare(Settings())
    assert mode(home.run) == 0o700


def test_a_models_directory_elsewhere_must_exist(short_path: Path) -> None:
    settings = Settings(llama=Llama(models_dir=str(short_path / "not mounted")))
    with pytest.raises(ConfigInvalid, match=r"there is no directory .*not mounted"):
        Home(short_path / "home").prepare(settings)


def test_a_home_that_cannot_be_made_is_named(short_path: Path) -> None:
    (short_path / "file").write_text("")
    with pytest.raises(ConfigInvalid, match=r"cannot create .*choose another home with --home"):
        Home(short_path / "file" / "home").prepare(Settings())


def test_a_long_home_gets_a_short_directory_that_takes_sockets(
    short_path: Path, runtime: Path
) -> None:
    home = Home(long_root(short_path))
    home.prepare(Settings())
    assert home.run.is_relative_to(runtime)
    assert mode(home.run) == mode(home.run.parent) == 0o700
    assert (home.root / "run").readlink() == home.run
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.run / ("n" * SOCKET_NAME_BYTES)))


def test_the_longest_direct_directory_takes_the_longest_name(short_path: Path) -> None:
    room = SOCKET_PATH_BYTES - SOCKET_NAME_BYTES - len("/run/") - len(os.fsencode(short_path)) - 1
    fits, too_long = Home(short_path / ("x" * room)), Home(short_path / ("x" * (room + 1)))
    fits.prepare(Settings())
    assert fits.run == fits.root / "run"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(fits.run / ("n" * SOCKET_NAME_BYTES)))
    assert too_long.run != too_long.root / "run"


def test_every_process_of_a_long_home_finds_the_same_directory(
    short_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(long_root(short_path))
    before = home.run
    home.prepare(Settings())
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert home.run == before
    assert home.run.is_relative_to(runtime)


def test_two_long_homes_do_not_share_a_directory(short_path: Path, runtime: Path) -> None:
    assert runtime.is_dir()
    assert Home(long_root(short_path) / "a").run != Home(long_root(short_path) / "b").run


def test_without_a_runtime_directory_the_temporary_one_serves(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(short_path))
    home = Home(long_root(short_path))
    home.prepare(Settings())
    assert home.run.parent == short_path / f"llama-proxy-{os.getuid()}"


def test_a_short_directory_that_went_is_made_again(short_path: Path, runtime: Path) -> None:
    home = Home(long_root(short_path))
    home.prepare(Settings())
    home.run.rmdir()
    home.run.parent.rmdir()
    home.prepare(Settings())
    assert home.run.is_dir()
    assert home.run.is_relative_to(runtime)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_somebody_else_put_in_place_is_refused(
    short_path: Path, runtime: Path, kind: str
) -> None:
    place = runtime / "llama-proxy"
    if kind == "file":
        place.write_text("")
    else:
        place.symlink_to(short_path)
    with pytest.raises(ConfigInvalid, match="not as a directory of this user"):
        Home(long_root(short_path)).prepare(Settings())


def test_what_is_made_in_an_open_home_is_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    home = Home(tmp_path)
    home.prepare(Settings())
    for directory in (home.locks, home.cache, home.engines, home.logs(Settings())):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700, directory
