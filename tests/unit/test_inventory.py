"""A look at modelsDir: what is listed, and in which state."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.permissions import permissions_heeded
from tests.support.tiny_gguf import (
    age,
    write_bert,
    write_garbage,
    write_llama,
    write_shards,
    write_truncated,
)
from workers.runner.inventory.header_cache import HeaderCache
from workers.runner.inventory.scan import look, scan


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    path = tmp_path / "models"
    path.mkdir()
    return path


def states(models_dir: Path, cache: HeaderCache | None = None) -> dict[str, str]:
    models = scan(models_dir, cache or HeaderCache())
    assert all((model.reason is None) == (model.state == "ok") for model in models.values())
    return {id_: model.state for id_, model in models.items()}


def test_a_model_is_listed_with_what_its_header_says(models_dir: Path) -> None:
    path = write_llama(models_dir / "qwen-7b.gguf")
    (model,) = scan(models_dir, HeaderCache()).values()
    assert (model.id, model.name, model.path) == ("qwen-7b", "qwen-7b.gguf", str(path))
    assert model.paths == (str(path),)
    assert (model.size, model.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (model.state, model.reason, model.mmproj) == ("ok", None, None)
    assert (model.architecture, model.file_type) == ("llama", "MOSTLY_F16")
    assert (model.context_length, model.block_count) == (4096, 2)
    assert model.parameter_count
    assert model.parameter_count > 100_000


def test_a_set_of_shards_is_listed_once(models_dir: Path) -> None:
    whole = write_llama(models_dir / "whole.gguf")
    shards = write_shards(models_dir, "set")
    os.utime(shards[1], ns=(2**62, 2**62))
    models = scan(models_dir, HeaderCache())
    assert list(models) == ["set", "whole"]
    model = models["set"]
    assert model.path == str(shards[0])
    assert model.paths == tuple(map(str, shards))
    assert model.size == sum(path.stat().st_size for path in shards)
    assert model.mtime_ns == 2**62
    assert model.parameter_count == models["whole"].parameter_count
    assert model.state == "ok"
    assert whole.stat().st_size < model.size


def test_a_missing_shard(models_dir: Path) -> None:
    write_shards(models_dir, "set")[1].unlink()
    (model,) = scan(models_dir, HeaderCache()).values()
    assert (model.id, model.state) == ("set", "incomplete")
    assert "set-00002-of-00003.gguf" in str(model.reason)


def test_a_renamed_shard(models_dir: Path) -> None:
    first, *others = write_shards(models_dir, "set")
    for path in others:
        path.unlink()
    first.rename(models_dir / "renamed.gguf")
    assert states(models_dir) == {"renamed": "error"}


def test_bad_files_are_listed_with_their_reason(models_dir: Path) -> None:
    write_garbage(models_dir / "garbage.gguf")
    write_truncated(models_dir / "truncated.gguf")
    (models_dir / "empty.gguf").touch()
    age(models_dir / "empty.gguf")
    write_llama(models_dir / "fine.gguf")
    models = scan(models_dir, HeaderCache())
    assert [model.state for model in models.values()] == ["error", "ok", "error", "error"]
    assert "empty" in str(models["empty"].reason)
    assert "no GGUF file" in str(models["garbage"].reason)
    size = (models_dir / "truncated.gguf").stat().st_size
    assert f"ends at byte {size:,} but its tensors need" in str(models["truncated"].reason)


def test_a_growing_file_is_incomplete_until_it_is_whole(models_dir: Path) -> None:
    cache = HeaderCache()
    whole = write_llama(models_dir / "m.gguf").read_bytes()
    for size_bytes in (0, 100, len(whole) // 2, len(whole) - 1):
        (models_dir / "m.gguf").write_bytes(whole[:size_bytes])
        seen = look(models_dir, cache)
        assert (seen.models["m"].state, seen.settled) == ("incomplete", False), size_bytes
    (models_dir / "m.gguf").write_bytes(whole)
    seen = look(models_dir, cache)
    assert (seen.models["m"].state, seen.settled) == ("ok", True)


def test_a_file_that_stopped_growing_is_an_error(models_dir: Path) -> None:
    path = write_truncated(models_dir / "m.gguf")
    os.utime(path)
    assert look(models_dir, HeaderCache()).models["m"].state == "incomplete"
    seen = look(models_dir, HeaderCache(), settle_s=0)
    assert (seen.models["m"].state, seen.settled) == ("error", True)


def test_growth_is_seen_where_the_clock_of_the_files_is_wrong(models_dir: Path) -> None:
    cache = HeaderCache()
    path = write_truncated(models_dir / "m.gguf")
    assert states(models_dir, cache) == {"m": "error"}
    with path.open("ab") as file:
        file.write(b"more")
    age(path)
    assert states(models_dir, cache) == {"m": "incomplete"}


def test_projectors(models_dir: Path) -> None:
    (models_dir / "vision").mkdir()
    write_llama(models_dir / "vision" / "m.gguf")
    write_bert(models_dir / "vision" / "mmproj-F16.gguf")
    models = scan(models_dir, HeaderCache())
    assert list(models) == ["vision/m"]
    assert models["vision/m"].mmproj == str(models_dir / "vision" / "mmproj-F16.gguf")


def test_an_unchanged_file_is_not_read_again(models_dir: Path, tmp_path: Path) -> None:
    path = write_llama(models_dir / "m.gguf")
    first = scan(models_dir, HeaderCache(tmp_path / "cache"))
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert scan(models_dir, HeaderCache(tmp_path / "cache")) == first


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    seen = look(tmp_path / "nothing", HeaderCache())
    assert (seen.models, seen.directories) == ({}, frozenset())


def test_a_look_can_be_ended_early(models_dir: Path) -> None:
    for name in "abc":
        write_llama(models_dir / f"{name}.gguf")
    answers = iter([False, True])
    assert list(look(models_dir, HeaderCache(), stopped=lambda: next(answers)).models) == ["a"]


def test_a_file_that_may_not_be_read(models_dir: Path) -> None:
    write_llama(models_dir / "m.gguf").chmod(0)
    with permissions_heeded():
        (model,) = scan(models_dir, HeaderCache()).values()
    assert model.reason == "The file cannot be read: Permission denied."


def test_a_model_can_be_moved(models_dir: Path) -> None:
    cache = HeaderCache()
    write_llama(models_dir / "m.gguf")
    scan(models_dir, cache)
    (models_dir / "d").mkdir()
    shutil.move(models_dir / "m.gguf", models_dir / "d" / "m.gguf")
    assert states(models_dir, cache) == {"d/m": "ok"}
