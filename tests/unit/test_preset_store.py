from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.support.full_disk import files_end_at
from tests.support.permissions import permissions_heeded
from workers.controller.presets.store import MAX_FILE_BYTES, MAX_FILES, Store, StoreError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "presets"
    made.mkdir()
    return made


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def refusal(store: Store, name: str, text: str) -> str:
    with pytest.raises(StoreError) as caught:
        store.write(name, text)
    return caught.value.reason


def test_what_is_written_is_read_and_nothing_else_is_left(directory: Path) -> None:
    store = Store(directory)
    store.write("a", "[*]\nä = 1\n")
    assert store.look({})["a"].text == "[*]\nä = 1\n"
    assert names(directory) == ["a.ini"]


def test_the_directory_is_made_when_it_is_needed(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "presets")
    assert store.look({}) == {}
    store.write("a", "")
    assert list(store.look({})) == ["a"]


def test_a_file_keeps_its_mode(directory: Path) -> None:
    store = Store(directory)
    store.write("a", "")
    (directory / "a.ini").chmod(0o600)
    store.write("a", "[*]\n")
    assert stat.S_IMODE((directory / "a.ini").stat().st_mode) == 0o600


def test_what_is_as_it_was_is_not_read_again(directory: Path) -> None:
    store = Store(directory)
    store.write("a", "1")
    store.write("b", "1")
    before = store.look({})
    (directory / "b.ini").write_text("2")
    after = store.look(before)
    assert after["a"] is before["a"]
    assert after["b"].text == "2"


def test_other_entries_are_no_presets(directory: Path) -> None:
    for name in ("README.md", ".hidden.ini", "a.ini~", ".a.123.new", "a b.ini", "a.ini.ini"):
        (directory / name).write_text("")
    assert Store(directory).look({}) == {}


def test_a_link_is_neither_read_nor_written_through(directory: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("[*]\n")
    (directory / "a.ini").symlink_to(secret)
    store = Store(directory)
    found = store.look({})["a"]
    assert found.text == ""
    assert "symbolic link" in str(found.problem)
    assert refusal(store, "a", "[b]\n") == "not_a_file"
    assert secret.read_text() == "[*]\n"
    with pytest.raises(StoreError, match="already"):
        store.rename("a", "a")
    store.delete("a")
    assert secret.exists()
    assert names(directory) == []


def test_what_is_no_file_is_left_alone(directory: Path) -> None:
    (directory / "a.ini").mkdir()
    os.mkfifo(directory / "b.ini")
    store = Store(directory)
    assert [file.problem for file in store.look({}).values()] == ["it is no regular file"] * 2
    assert refusal(store, "a", "") == refusal(store, "b", "") == "not_a_file"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[*]\nk = \xc3"])
def test_what_is_no_text_has_a_problem(directory: Path, content: bytes) -> None:
    (directory / "a.ini").write_bytes(content)
    assert "UTF-8" in str(Store(directory).look({})["a"].problem)


def test_sizes_are_bounded(directory: Path) -> None:
    store = Store(directory)
    store.write("a", "x" * MAX_FILE_BYTES)
    assert refusal(store, "a", "x" * (MAX_FILE_BYTES + 1)) == "too_big"
    assert len(store.look({})["a"].text) == MAX_FILE_BYTES
    (directory / "b.ini").write_text("x" * (MAX_FILE_BYTES + 1))
    assert "bytes" in str(store.look({})["b"].problem)


def test_the_number_of_files_is_bounded(directory: Path) -> None:
    store = Store(directory)
    for number in range(MAX_FILES + 2):
        (directory / f"p{number:03}.ini").write_text("")
    assert len(store.look({})) == MAX_FILES
    assert refusal(store, "one-more", "") == "too_many"
    store.write("p000", "[*]\n")


def test_a_full_disk_leaves_the_old_file(directory: Path) -> None:
    store = Store(directory)
    store.write("a", "old")
    with files_end_at(100):
        assert refusal(store, "a", "new" * 1000) == "disk"
    assert store.look({})["a"].text == "old"
    assert names(directory) == ["a.ini"]


def test_a_directory_that_takes_no_files_leaves_the_old_one(directory: Path) -> None:
    store = Store(directory)
    store.write("a", "old")
    directory.chmod(0o500)
    try:
        with permissions_heeded():
            assert refusal(store, "a", "new") == "disk"
            with pytest.raises(StoreError):
                store.delete("a")
            with pytest.raises(StoreError):
                store.rename("a", "b")
    finally:
        directory.chmod(0o700)
    assert store.look({})["a"].text == "old"
    assert names(directory) == ["a.ini"]


def test_a_directory_that_cannot_be_read_is_told(directory: Path) -> None:
    directory.chmod(0)
    try:
        with permissions_heeded(), pytest.raises(OSError, match="Permission"):
            Store(directory).look({})
    finally:
        directory.chmod(0o700)


def test_a_reader_sees_the_old_file_or_the_new_one(directory: Path) -> None:
    store = Store(directory)
    texts = {character * 50_000 for character in "ab"}
    store.write("a", "a" * 50_000)
    done = threading.Event()

    def write() -> None:
        try:
            for _ in range(20):
                for text in texts:
                    store.write("a", text)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add((directory / "a.ini").read_text())
    writer.join()
    assert seen <= texts


def test_names_do_not_collide_on_renaming(directory: Path) -> None:
    store = Store(directory)
    store.write("a", "1")
    store.write("b", "2")
    with pytest.raises(StoreError, match="already"):
        store.rename("a", "b")
    store.rename("a", "c")
    assert {name: file.text for name, file in store.look({}).items()} == {"b": "2", "c": "1"}


def test_what_a_killed_writer_left_is_swept(directory: Path) -> None:
    (directory / ".a.0123456789ab.new").write_text("half")
    (directory / "a.ini").write_text("")
    (directory / ".keep").write_text("")
    Store(directory).sweep()
    assert names(directory) == [".keep", "a.ini"]
    Store(directory / "gone").sweep()
