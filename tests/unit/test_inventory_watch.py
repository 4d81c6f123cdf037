"""Changes below modelsDir show up by themselves."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from common.api.inventory import ModelFile
from tests.support.tiny_gguf import write_llama, write_shards, write_truncated
from workers.runner.inventory.header_cache import HeaderCache
from workers.runner.inventory.watch import watch

Models = dict[str, ModelFile]
DEADLINE_S = 20


class Watched:
    """The inventories that a watch yields, one after another."""

    def __init__(self, inventories: AsyncIterator[Models]) -> None:
        self._inventories = inventories

    async def until(self, condition: Callable[[Models], bool]) -> Models:
        """The first inventory from the next one on that meets `condition`."""
        async with asyncio.timeout(DEADLINE_S):
            async for models in self._inventories:
                if condition(models):
                    return models
        raise AssertionError("the watch ended by itself")

    async def until_states(self, **states: str) -> Models:
        """The same for an inventory of exactly these ids and states."""
        return await self.until(
            lambda models: {id_: model.state for id_, model in models.items()} == states
        )


@asynccontextmanager
async def watching(
    models_dir: Path, *, rescan_s: float = 3600, settle_s: float = 0.5
) -> AsyncIterator[Watched]:
    """A watch that would look again after an hour only, so that what it sees it was told."""
    inventories = watch(models_dir, HeaderCache(), rescan_s=rescan_s, settle_s=settle_s)
    async with aclosing(inventories):
        yield Watched(inventories)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("inventory")]


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    path = tmp_path / "models"
    path.mkdir()
    return path


async def test_files_come_change_and_go(models_dir: Path) -> None:
    write_llama(models_dir / "first.gguf")
    async with watching(models_dir) as watched:
        await watched.until_states(first="ok")
        write_llama(models_dir / "second.gguf")
        before = await watched.until_states(first="ok", second="ok")
        write_llama(models_dir / "second.gguf", padding_tokens=10)
        after = await watched.until(lambda models: models["second"] != before["second"])
        assert after["second"].size > before["second"].size
        (models_dir / "first.gguf").unlink()
        await watched.until_states(second="ok")


async def test_an_empty_directory_is_an_inventory_too(models_dir: Path) -> None:
    async with watching(models_dir) as watched:
        assert await watched.until(lambda _: True) == {}


async def test_new_directories_are_watched_as_well(models_dir: Path) -> None:
    async with watching(models_dir) as watched:
        await watched.until(lambda models: not models)
        (models_dir / "a" / "b").mkdir(parents=True)
        write_llama(models_dir / "a" / "b" / "m.gguf")
        await watched.until(lambda models: list(models) == ["a/b/m"])
        write_llama(models_dir / "a" / "n.gguf")
        await watched.until(lambda models: list(models) == ["a/b/m", "a/n"])
        (models_dir / "a").rename(models_dir / "z")
        await watched.until(lambda models: list(models) == ["z/b/m", "z/n"])


async def test_a_directory_that_comes_goes_and_comes_back(tmp_path: Path) -> None:
    models_dir = tmp_path / "later"
    async with watching(models_dir) as watched:
        assert await watched.until(lambda _: True) == {}
        for name in ("first", "second"):
            models_dir.mkdir()
            write_llama(models_dir / f"{name}.gguf")
            await watched.until_states(**{name: "ok"})
            shutil.rmtree(models_dir)
            await watched.until(lambda models: not models)


async def test_a_download_is_followed_to_its_end(models_dir: Path) -> None:
    path = models_dir / "m.gguf"
    whole = write_llama(path).read_bytes()
    path.write_bytes(whole[:1000])
    async with watching(models_dir, settle_s=60) as watched:
        await watched.until_states(m="incomplete")
        with path.open("ab") as file:
            file.write(whole[1000:])
        await watched.until_states(m="ok")


async def test_a_download_that_ends_early_becomes_an_error(models_dir: Path) -> None:
    os.utime(write_truncated(models_dir / "m.gguf"))
    async with watching(models_dir, settle_s=2) as watched:
        await watched.until_states(m="incomplete")
        await watched.until_states(m="error")


async def test_the_last_shard_completes_a_set(models_dir: Path, tmp_path: Path) -> None:
    *others, last = write_shards(tmp_path, "set")
    for path in others:
        shutil.copy(path, models_dir)
    async with watching(models_dir) as watched:
        await watched.until_states(set="incomplete")
        shutil.copy(last, models_dir)
        await watched.until_states(set="ok")


async def test_what_nobody_tells_of_is_found_by_a_rescan(models_dir: Path) -> None:
    # A hidden directory is not watched, but a link into it is followed.
    hidden = models_dir / ".store" / "blob"
    hidden.parent.mkdir()
    write_llama(hidden)
    (models_dir / "m.gguf").symlink_to(".store/blob")
    async with watching(models_dir, rescan_s=0.5) as watched:
        before = await watched.until_states(m="ok")
        write_llama(hidden, padding_tokens=10)
        await watched.until(lambda models: models["m"].size > before["m"].size)


@contextmanager
def one_descriptor_to_spare() -> Iterator[None]:
    """Enough to list a directory or read a file, too few to be told of changes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_free = os.dup(0)
    os.close(next_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_free + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_word_from_the_kernel_there_are_rescans(
    models_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_llama(models_dir / "first.gguf")
    with one_descriptor_to_spare():
        async with watching(models_dir, rescan_s=0.5) as watched:
            await watched.until_states(first="ok")
            (models_dir / "first.gguf").rename(models_dir / "second.gguf")
            await watched.until_states(second="ok")
            (models_dir / "second.gguf").rename(models_dir / "third.gguf")
            await watched.until_states(third="ok")
    assert "noticed by rescans only" in caplog.text


async def test_cancelling_ends_the_thread(models_dir: Path) -> None:
    seen = asyncio.Event()

    async def consume() -> None:
        async with watching(models_dir) as watched:
            await watched.until(lambda _: True)
            seen.set()
            await watched.until(lambda models: len(models) > 5)

    task = asyncio.create_task(consume())
    async with asyncio.timeout(DEADLINE_S):
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("inventory")]
