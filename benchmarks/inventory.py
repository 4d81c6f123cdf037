"""How long until a thousand models with vocabularies of 150,000 tokens are known, cold and warm?

Reference: `gguf.GGUFReader` on one of the same files, times a thousand. Each file is a hard link to
one file of some MB, so a cold scan reads each header anew, but from the page cache.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import gguf

from benchmarks._report import allowed, heading, ratio
from tests.support.tiny_gguf import write_llama
from workers.runner.inventory.header_cache import HeaderCache
from workers.runner.inventory.scan import scan

COUNT = 1000
TOKENS = 150_000
COLD_S = 60.0
WARM_S = 0.3


def main() -> None:
    """Measure and print."""
    heading(f"Inventory: {COUNT} files with {TOKENS} tokens each", "gguf", "msgspec")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        source = write_llama(directory / "source.gguf", padding_tokens=TOKENS)
        models = directory / "models"
        models.mkdir()
        for number in range(COUNT):
            os.link(source, models / f"model-{number}.gguf")

        began = time.perf_counter()
        gguf.GGUFReader(source)
        reference_s = (time.perf_counter() - began) * COUNT

        cache = directory / "headers"
        began = time.perf_counter()
        found = scan(models, HeaderCache(cache))
        cold_s = time.perf_counter() - began
        assert len(found) == COUNT

        began = time.perf_counter()
        assert scan(models, HeaderCache(cache)) == found
        warm_s = time.perf_counter() - began

    allowed("cold", cold_s, COLD_S, "s")
    allowed("warm, after a restart", warm_s, WARM_S, "s")
    ratio("cold", cold_s, reference_s, "s", "GGUFReader on one file, times the files")


if __name__ == "__main__":
    main()
