"""What was read of a header is remembered, and nothing else is."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec
import pytest

from tests.support.tiny_gguf import write_garbage, write_llama
from workers.runner.inventory.file_facts import FileFacts
from workers.runner.inventory.header_cache import HeaderCache
from workers.runner.inventory.model_files import FoundFile


def found(path: Path) -> FoundFile:
    status = path.stat()
    return FoundFile(path.name, status.st_size, status.st_mtime_ns)


def facts(cache: HeaderCache, path: Path) -> FileFacts:
    return cache.facts(str(path), found(path))


def spoil(path: Path) -> None:
    """Makes garbage of the content and leaves size and time: who looks inside will notice."""
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "m.gguf")


@pytest.fixture
def cache_path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "headers"


def test_facts_of_a_model(model: Path) -> None:
    known = facts(HeaderCache(), model)
    assert known.error is None
    assert (known.architecture, known.file_type, known.kind) == ("llama", "MOSTLY_F16", "model")
    assert (known.context_length, known.block_count, known.tensor_count) == (4096, 2, 21)
    assert known.end <= model.stat().st_size
    assert known.parameter_count > 100_000


def test_an_unchanged_file_is_read_once(model: Path, cache_path: Path) -> None:
    cache = HeaderCache(cache_path)
    first = facts(cache, model)
    spoil(model)
    assert facts(cache, model) == first
    cache.save({str(model)})
    assert facts(HeaderCache(cache_path), model) == first


def test_a_changed_file_is_read_again(model: Path) -> None:
    cache = HeaderCache()
    facts(cache, model)
    assert cache.seconds_since_change(str(model)) is None
    spoil(model)
    os.utime(model, ns=(1, 1))
    assert "no GGUF file" in str(facts(cache, model).error)
    since_change_s = cache.seconds_since_change(str(model))
    assert since_change_s is not None
    assert since_change_s < 60


def test_what_is_wrong_with_a_file_is_remembered_too(tmp_path: Path) -> None:
    path = write_garbage(tmp_path / "page.gguf")
    cache = HeaderCache()
    error = facts(cache, path).error
    status = path.stat()
    write_llama(path)
    os.truncate(path, status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert facts(cache, path).error == error


def test_a_file_that_cannot_be_opened_is_not_remembered(model: Path) -> None:
    cache, seen = HeaderCache(), found(model)
    hidden = model.rename(model.with_suffix(".away"))
    with pytest.raises(FileNotFoundError):
        cache.facts(str(model), seen)
    hidden.rename(model)
    assert cache.facts(str(model), seen).error is None


def test_files_that_are_gone_are_remembered(model: Path, cache_path: Path) -> None:
    cache = HeaderCache(cache_path)
    first = facts(cache, model)
    cache.save(present=set())
    spoil(model)
    assert facts(HeaderCache(cache_path), model) == first


def test_nothing_is_written_when_nothing_is_new(model: Path, cache_path: Path) -> None:
    cache = HeaderCache(cache_path)
    cache.save(set())
    assert not cache_path.exists()
    facts(cache, model)
    cache.save({str(model)})
    written_at = cache_path.stat().st_mtime_ns
    facts(cache, model)
    cache.save({str(model)})
    assert cache_path.stat().st_mtime_ns == written_at
    assert list(cache_path.parent.iterdir()) == [cache_path], "no file is left beside it"


@pytest.mark.parametrize(
    "content", [b"", b"\xc1 garbage", msgspec.msgpack.encode({"format": [0, 0, 0], "entries": {}})]
)
def test_a_damaged_or_older_cache_is_built_anew(
    content: bytes, model: Path, cache_path: Path
) -> None:
    cache_path.parent.mkdir()
    cache_path.write_bytes(content)
    cache = HeaderCache(cache_path)
    assert facts(cache, model).error is None
    cache.save({str(model)})
    spoil(model)
    assert facts(HeaderCache(cache_path), model).error is None


def test_a_cache_that_cannot_be_written_costs_a_warning(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    cache = HeaderCache(tmp_path / "file" / "headers")
    assert facts(cache, model).error is None
    with caplog.at_level(logging.WARNING):
        cache.save({str(model)})
    assert "cannot write" in caplog.text
