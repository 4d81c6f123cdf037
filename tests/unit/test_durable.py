"""What the controller writes down is whole, or as it was."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.full_disk import files_end_at
from workers.controller import durable


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_made_for_its_owner_only_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    durable.replace(path, b"one")
    assert path.read_bytes() == b"one"
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"one")
    path.chmod(0o640)
    durable.replace(path, b"two")
    assert path.read_bytes() == b"two"
    assert mode_of(path) == 0o640


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    durable.replace(path, b"one")
    with files_end_at(10), pytest.raises(OSError, match="too large"):
        durable.replace(path, b"two" * 100)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    path, other = tmp_path / "a.json", tmp_path / "other"
    other.write_bytes(b"other")
    path.symlink_to(other)
    durable.replace(path, b"one")
    assert (path.read_bytes(), other.read_bytes()) == (b"one", b"other")
    assert not path.is_symlink()
    assert mode_of(path) == 0o600
