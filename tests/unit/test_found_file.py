from __future__ import annotations

from common.api.inventory import ModelFile
from workers.controller.fleet import FoundFile


def model_file(path: str) -> ModelFile:
    return ModelFile(
        id="m", name="m.gguf", path=path, paths=(path,), size=1, mtime_ns=1, state="ok"
    )


def test_a_runner_gets_the_path_of_its_own_host() -> None:
    here, there = model_file("/models/m.gguf"), model_file("/mnt/m.gguf")
    found = FoundFile({"a": here, "b": there}, "runner-0@a", here)
    assert found.hosts == {"a", "b"}
    assert found.on_host_of("runner-3@b") is there
    assert found.on_host_of("runner-0@a") is here
