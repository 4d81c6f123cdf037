from __future__ import annotations

import stat
from pathlib import Path

import pytest

from common.errors import ConfigInvalid, ServerError
from workers.controller.configuration import file


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert file.read(tmp_path / "config.toml") == ""


def test_line_ends_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    file.write(path, "[a]\r\nb = 1\n")
    assert path.read_bytes() == b"[a]\r\nb = 1\n"
    assert file.read(path) == "[a]\r\nb = 1\n"


def test_a_new_file_is_private_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    file.write(path, "a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    file.write(path, "b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, path = tmp_path / "elsewhere" / "real.toml", tmp_path / "config.toml"
    target.parent.mkdir()
    target.write_text("a")
    path.symlink_to(target)
    file.write(path, "b")
    assert path.is_symlink()
    assert target.read_text() == "b"


def test_who_reads_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    file.write(path, "old")
    with path.open() as reader:
        file.write(path, "new")
        assert reader.read() == "old"
    assert file.read(path) == "new"


def test_a_disk_that_refuses_leaves_everything_as_it_was(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    with pytest.raises(ServerError, match="nothing has changed"):
        file.write(directory / "config.toml", "text")
    path = tmp_path / "config.toml"
    path.mkdir()  # cannot be replaced by a file
    with pytest.raises(ServerError, match="cannot be written"):
        file.write(path, "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.toml"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid, match="not UTF-8"):
        file.read(path)
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        file.read(tmp_path)
