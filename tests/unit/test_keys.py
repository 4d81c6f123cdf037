"""Keys on disk, the command that makes them, and what settings say of hosts."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from common.bus.addresses import Addresses, split_tcp
from common.bus.key_files import KeyFiles, parse_key
from common.bus.security import KeyPair
from common.errors import ConfigInvalid
from common.home import Home
from common.service import backplane_addresses
from common.settings import Backplane, Host, Runner, Settings
from common.settings_contradictions import contradictions
from deploy import keys
from deploy.failure import CommandFailed
from deploy.ports import stack_ports
from deploy.stack import stack_programs
from workers.backplane.admission import speaks_for

KEY = "0123456789abcdef" * 4
OTHER_KEY = "fedcba9876543210" * 4


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return KeyFiles(tmp_path / "home" / "keys")


def test_a_new_pair_belongs_together() -> None:
    pair = KeyPair.new()
    assert zmq.curve_public(z85.encode(pair.secret)) == z85.encode(pair.public)
    assert pair.secret.hex() not in repr(pair)
    assert repr(pair.secret) not in repr(pair)


def test_a_pair_is_made_once_and_is_private(files: KeyFiles) -> None:
    pair = files.make_own()
    assert files.make_own() == files.own() == pair
    for path in [files.directory, *files.directory.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_without_a_pair_the_command_to_make_one_is_named(files: KeyFiles) -> None:
    with pytest.raises(ConfigInvalid, match=r"llama-proxy keys$"):
        files.own()
    files.make_own()
    with pytest.raises(ConfigInvalid, match=r"llama-proxy keys trust KEY$"):
        files.credentials()


def test_a_secret_that_others_can_read_is_refused(files: KeyFiles) -> None:
    files.make_own()
    (files.directory / "host.secret").chmod(0o640)
    with pytest.raises(ConfigInvalid, match="chmod 600"):
        files.own()


@pytest.mark.parametrize("text", ["", KEY[:-1], KEY[:-2], KEY + "00", "x" * 64])
def test_a_file_without_a_key_is_named(files: KeyFiles, text: str) -> None:
    files.make_own()
    (files.directory / "host.public").write_text(text)
    with pytest.raises(ConfigInvalid, match=r"host\.public holds no key"):
        files.own()


def test_allowed_hosts_come_and_go(files: KeyFiles) -> None:
    assert files.allowed() == {}
    files.allow("gpu-1.example", parse_key(KEY))
    files.allow("gpu-2", parse_key(OTHER_KEY))
    expected = {parse_key(KEY): "gpu-1.example", parse_key(OTHER_KEY): "gpu-2"}
    assert files.allowed() == expected
    with pytest.raises(ConfigInvalid, match="belongs to gpu-2 already"):
        files.allow("gpu-3", parse_key(OTHER_KEY))
    assert files.forget("gpu-2")
    assert not files.forget("gpu-2")
    files.allow("gpu-1.example", parse_key(OTHER_KEY))
    assert files.allowed() == {parse_key(OTHER_KEY): "gpu-1.example"}


def test_the_command_shows_public_keys_only(tmp_path: Path) -> None:
    home, settings = Home(tmp_path), Settings(host=Host(name="here"))
    (own,) = keys.show(home, settings)
    keys.allow(home, settings, "there", KEY)
    keys.trust(home, settings, OTHER_KEY)
    shown = list(keys.show(home, settings))
    assert shown == [own, f"Main host       {OTHER_KEY}", f"May join        there  {KEY}"]
    pair = KeyFiles(home.keys(settings)).own()
    assert own.split() == ["This", "host", "here", pair.public.hex()]
    assert pair.secret.hex() not in "".join(shown)


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("here", KEY),
        ("", KEY),
        ("..", KEY),
        ("a/b", KEY),
        ("a@b", KEY),
        ("there", KEY[:-1]),
        ("there", "no key"),
    ],
)
def test_what_cannot_be_allowed(tmp_path: Path, host: str, key: str) -> None:
    with pytest.raises(CommandFailed):
        keys.allow(Home(tmp_path), Settings(host=Host(name="here")), host, key)
    assert not (tmp_path / "keys").exists()


def test_who_was_not_allowed_cannot_be_forgotten(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="there was not allowed"):
        keys.forget(Home(tmp_path), Settings(), "there")


@pytest.mark.parametrize(
    ("host", "process", "may"),
    [
        ("b", "runner-0@b", True),
        ("b", "metrics@b", True),
        ("b", "runner-0@a", False),
        ("b", "controller", False),
        ("b", "backplane", False),
        ("b", "@b", False),
        ("b", "b", False),
        ("b", "x@a@b", False),
        ("b", "x@b@a", False),
        ("", "controller", False),
        ("B", "runner-0@b", False),
    ],
)
def test_whom_a_host_speaks_for(host: str, process: str, may: bool) -> None:
    assert speaks_for(host, process) is may


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("tcp://10.0.0.1:7300", "10.0.0.1", 7300),
        ("tcp://[fd00::1]:1", "fd00::1", 1),
        ("tcp://gpu-box.example:65533", "gpu-box.example", 65533),
    ],
)
def test_addresses_are_taken_apart(address: str, host: str, port: int) -> None:
    assert split_tcp(address) == (host, port)


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1:7300", "tcp://10.0.0.1", "tcp://:7300", "tcp://*:7300", "udp://10.0.0.1:7300"),
        *("tcp://10.0.0.1:0", "tcp://10.0.0.1:65534", "tcp://10.0.0.1:x", "tcp://fd00::1:7300"),
        *("tcp://a@10.0.0.1:7300", "tcp://10.0.0.1:7300/x", "tcp://10.0.0.1:7300 ", "ipc:///tmp/x"),
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"tcp://|port"):
        split_tcp(address)


def test_a_backplane_has_three_ports_in_a_row() -> None:
    assert Addresses.over_tcp("tcp://[fd00::1]:7300") == Addresses(
        "tcp://[fd00::1]:7300", "tcp://[fd00::1]:7301", "tcp://[fd00::1]:7302"
    )


MAIN = "tcp://10.0.0.1:7300"


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        (Settings(backplane=Backplane(listen=MAIN)), []),
        (Settings(backplane=Backplane(listen="tcp://0.0.0.0:7300")), []),
        (Settings(backplane=Backplane(listen="tcp://gpu-box:7300")), ["backplane.listen"]),
        (Settings(backplane=Backplane(listen="10.0.0.1:7300")), ["backplane.listen"]),
        (Settings(backplane=Backplane(join=MAIN)), ["runner.engineHost"]),
        (
            Settings(backplane=Backplane(join=MAIN), runner=Runner(engine_host="0.0.0.0")),  # noqa: S104
            ["runner.engineHost"],
        ),
        (Settings(backplane=Backplane(join=MAIN), runner=Runner(engine_host="10.0.0.2")), []),
        (Settings(backplane=Backplane(join=MAIN), runner=Runner(engine_host="gpu-box")), []),
        (Settings(backplane=Backplane(join="tcp://127.0.0.1:7300")), []),
        (Settings(backplane=Backplane(join="somewhere")), ["backplane.join"]),
        (
            Settings(
                backplane=Backplane(listen=MAIN, join=MAIN), runner=Runner(engine_host="10.0.0.2")
            ),
            ["backplane.join"],
        ),
    ],
)
def test_settings_that_contradict_each_other(settings: Settings, paths: list[str]) -> None:
    assert [".".join(found.path) for found in contradictions(settings)] == paths


@pytest.mark.parametrize("settings", [Backplane(listen=MAIN), Backplane(join=MAIN)])
def test_no_tcp_without_keys(tmp_path: Path, settings: Backplane) -> None:
    with pytest.raises(ConfigInvalid, match="llama-proxy keys"):
        keys.check(Home(tmp_path), Settings(backplane=settings))


def test_where_the_processes_of_a_home_meet(tmp_path: Path) -> None:
    home, joining = Home(tmp_path), Settings(backplane=Backplane(join=MAIN))
    local = backplane_addresses(home, Settings())
    assert local.requests.startswith("ipc://")
    assert local.credentials is None
    with pytest.raises(ConfigInvalid):
        backplane_addresses(home, joining)
    own = KeyFiles(home.keys(joining)).make_own()
    keys.trust(home, joining, KEY)
    there = backplane_addresses(home, joining)
    assert there.events_out == "tcp://10.0.0.1:7302"
    assert there.credentials is not None
    assert (there.credentials.own, there.credentials.main_public) == (own, parse_key(KEY))


def test_a_host_that_joins_has_only_runners_and_metrics_and_needs_no_port() -> None:
    joining = Settings(backplane=Backplane(join=MAIN))
    assert {program.name for program in stack_programs(joining, [])} == {"metrics", "runner-cpu"}
    assert stack_ports(joining) == ()
    listening = stack_ports(Settings(backplane=Backplane(listen=MAIN)))
    assert [(port.host, port.number) for port in listening[2:]] == [
        ("10.0.0.1", 7300),
        ("10.0.0.1", 7301),
        ("10.0.0.1", 7302),
    ]
