"""Whether a program may become the engine through the API: who may name any program, may run it.

So it must be called llama-server, lie where only those write whom the host's owner trusts, and
introduce itself as llama.cpp's. The file `config.toml` may name anything: who writes there owns the
host's configuration anyway.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from workers import engine_help

NAME = "llama-server"
HELP_TIMEOUT_S = 15.0
"""A CUDA build looks for devices first."""

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_TELLING_FLAGS = frozenset({"--model", "--ctx-size", "--n-gpu-layers", "--host", "--port"})


async def problem_of(path: Path, allowed: Iterable[Path], environ: Mapping[str, str]) -> str | None:
    """What is wrong with this program, as what is allowed instead; null where it may be used.

    It is run, with `--help`, once nothing else is wrong.
    """
    problem = await asyncio.to_thread(misplaced, path, list(allowed))
    if problem is not None:
        return problem
    without_ours = {name: value for name, value in environ.items() if "LLAMA" not in name}
    try:
        said = await engine_help.ask([str(path), "--help"], without_ours, HELP_TIMEOUT_S)
    except engine_help.NoAnswer as error:
        return f"a llama-server of llama.cpp; {path} --help: {error}"
    if not is_llama_server(said):
        return f"a llama-server of llama.cpp; {path} --help says nothing of the kind"
    return None


def misplaced(path: Path, allowed: Iterable[Path]) -> str | None:
    """What is wrong with where the program lies, as what is allowed instead. Blocks."""
    if not path.is_absolute():
        return "an absolute path"
    if not path.name.startswith(NAME):
        return f"a program that is called {NAME}"
    try:
        target = path.resolve(strict=True)
        roots = [root.resolve() for root in allowed]
        # Both where the name lies and where it leads to: who can change either chooses the program.
        named = path.parent.resolve(strict=True) / path.name
        for place in dict.fromkeys((named, target)):
            root = next((root for root in roots if place.is_relative_to(root)), None)
            if root is None:
                listed = ", ".join(map(str, roots)) or "none"
                return f"a program below a directory of llama.allowedServerDirs ({listed})"
            for step in _from(place, root):
                if step.stat().st_mode & _WRITABLE_BY_OTHERS:
                    return f"a program that only its owner can change; others may write to {step}"
    except (OSError, RuntimeError, ValueError) as error:
        return f"a program that is there ({error})"
    if not target.is_file() or not os.access(target, os.X_OK):
        return "a program that can be run"
    return None


def _from(place: Path, root: Path) -> Iterator[Path]:
    """The file and the directories above it, up to `root`."""
    yield place
    yield from (parent for parent in place.parents if parent.is_relative_to(root))


def is_llama_server(help_text: str) -> bool:
    """Whether a help text is that of llama.cpp's server: flags that all its versions have."""
    return set(re.findall(r"--[a-z][a-z-]*", help_text)) >= _TELLING_FLAGS
