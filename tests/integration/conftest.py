from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from common.bus.addresses import Addresses
from tests.support.bus import Joiner, joined
from workers.backplane.backplane import Backplane


@pytest.fixture
def addresses() -> Iterator[Addresses]:
    # Not tmp_path: a socket's path ends at 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bus-") as directory:
        yield Addresses.in_directory(Path(directory))


@pytest.fixture
def backplane(addresses: Addresses) -> Iterator[Backplane]:
    running = Backplane(addresses)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def joiner(backplane: Backplane, addresses: Addresses) -> AsyncIterator[Joiner]:
    assert backplane.alive
    async with joined(addresses) as joiner:
        yield joiner
