"""Which files below modelsDir are found."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from tests.support.permissions import permissions_heeded
from workers.runner.inventory.walk import walk_models


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def found(models_dir: Path) -> list[str]:
    return sorted(file.path for file in walk_models(models_dir).files)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    path = tmp_path / "models"
    path.mkdir()
    return path


def test_gguf_files_at_any_depth(models_dir: Path) -> None:
    for name in ("a.gguf", "d/b.gguf", "d/e/c.gguf", "notes.txt", "d/x.gguf.part", "y.GGUF"):
        touch(models_dir / name)
    assert found(models_dir) == ["a.gguf", "d/b.gguf", "d/e/c.gguf"]


def test_sizes_times_and_directories(models_dir: Path) -> None:
    path = touch(models_dir / "d" / "a.gguf")
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 1_234_567_891))
    tree = walk_models(models_dir)
    assert [(file.size_bytes, file.mtime_ns) for file in tree.files] == [(5, 1_234_567_891)]
    assert tree.directories == {
        (str(directory), directory.stat().st_ino) for directory in (models_dir, models_dir / "d")
    }


def test_hidden_files_and_what_is_no_file(models_dir: Path) -> None:
    touch(models_dir / ".hidden.gguf")
    touch(models_dir / ".cache" / "a.gguf")
    os.mkfifo(models_dir / "pipe.gguf")
    (models_dir / "directory.gguf").mkdir()
    assert found(models_dir) == []


def test_links_are_followed_while_they_stay_inside(
    models_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(models_dir / "blobs" / "sha256-1")
    touch(models_dir / "v2" / "m.gguf")
    touch(tmp_path / "outside" / "secret.gguf")
    touch(tmp_path / "models-too" / "n.gguf")
    (models_dir / "by-name.gguf").symlink_to("blobs/sha256-1")
    (models_dir / "latest").symlink_to("v2")
    (models_dir / "file.gguf").symlink_to(tmp_path / "outside" / "secret.gguf")
    (models_dir / "directory").symlink_to(tmp_path / "outside")
    (models_dir / "similar").symlink_to(tmp_path / "models-too")
    (models_dir / "nothing.gguf").symlink_to("gone.gguf")
    assert found(models_dir) == ["by-name.gguf", "latest/m.gguf", "v2/m.gguf"]
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        assert len(found(models_dir)) == 3
    assert not caplog.records, "what was said once is not said at every scan"


def test_links_in_circles(models_dir: Path) -> None:
    touch(models_dir / "a" / "m.gguf")
    touch(models_dir / "b" / "n.gguf")
    (models_dir / "self").symlink_to(models_dir)
    (models_dir / "a" / "up").symlink_to("..")
    (models_dir / "a" / "b").symlink_to("../b")
    (models_dir / "b" / "a").symlink_to("../a")
    (models_dir / "loop.gguf").symlink_to("loop.gguf")
    assert found(models_dir) == ["a/b/n.gguf", "a/m.gguf", "b/a/m.gguf", "b/n.gguf"]


def test_models_dir_may_be_a_link_or_absent(models_dir: Path, tmp_path: Path) -> None:
    touch(models_dir / "m.gguf")
    (tmp_path / "link").symlink_to(models_dir)
    assert found(tmp_path / "link") == ["m.gguf"]
    assert found(tmp_path / "nothing") == []
    assert walk_models(tmp_path / "nothing").directories == set()


def test_names_that_no_message_could_hold(
    models_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(models_dir / "two\nlines.gguf")
    touch(models_dir / "bell\a" / "m.gguf")
    (Path(os.fsdecode(os.fsencode(models_dir) + b"/latin\xe9.gguf"))).touch()
    touch(models_dir / "名前 ü 🦙.gguf")
    with caplog.at_level(logging.WARNING):
        assert found(models_dir) == ["名前 ü 🦙.gguf"]
    assert len(caplog.records) == 3
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_a_directory_that_may_not_be_read(models_dir: Path) -> None:
    touch(models_dir / "m.gguf")
    touch(models_dir / "locked" / "n.gguf")
    (models_dir / "locked").chmod(0)
    try:
        with permissions_heeded():
            assert found(models_dir) == ["m.gguf"]
    finally:
        (models_dir / "locked").chmod(0o700)


def test_times_beyond_what_a_message_carries(models_dir: Path) -> None:
    path = touch(models_dir / "old.gguf")
    os.utime(path, ns=(-(10**18), -(10**18)))
    (file,) = walk_models(models_dir).files
    assert file.mtime_ns == 0
