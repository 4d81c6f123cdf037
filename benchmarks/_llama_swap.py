"""llama-swap before the same engine, where `LLAMA_SWAP` names its program."""

from __future__ import annotations

import os
from pathlib import Path

# `cmd` is a process that it may start and end; the engine itself is there already.
_CONFIGURATION = """
logLevel: error
models:
  {model}:
    cmd: sleep 86400
    proxy: http://127.0.0.1:{engine_port}
    checkEndpoint: none
"""


def llama_swap_command(
    directory: Path, port: int, engine_port: int, model: str
) -> list[str] | None:
    """Write its configuration into `directory`; the command, or None where it is not given."""
    program = os.environ.get("LLAMA_SWAP", "")
    if not program:
        return None
    file = directory / "llama-swap.yaml"
    file.write_text(_CONFIGURATION.format(model=model, engine_port=engine_port), "utf-8")
    return [program, "--config", str(file), "--listen", f"127.0.0.1:{port}"]
