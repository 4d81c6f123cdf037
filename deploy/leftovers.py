"""What an `up` that was killed has left: its programs leave, its engines stay to be adopted."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from common.home import Home
from deploy.processes import (
    end,
    engine_instances,
    hand_over,
    kill,
    stack_processes,
    supervisors,
)

_HANDOVER_S = 2.0
_ENGINE_GRACE_S = 1.5


def take_over(home: Home, runners: Collection[str]) -> None:
    """Make room for a new set of programs, whose runners have these names.

    Engines of other runners (of a GPU that is no longer there, say) would be adopted by nobody:
    they are ended, and what they wrote is forgotten. Blocks for some seconds if there is anything
    to end.
    """
    # supervisord first: it would start its programs again.
    kill(supervisors(home.root))
    hand_over(stack_processes(home.root), _HANDOVER_S)
    claimed = set()
    for path in home.run_files():
        if _runner(path) in runners:
            claimed.add(_instance(path))
        else:
            path.unlink(missing_ok=True)
    unclaimed = [
        engine for instance, engine in engine_instances(home.root) if instance not in claimed
    ]
    end(unclaimed, _ENGINE_GRACE_S)
    for output in home.engine_outputs():
        if output.stem not in claimed:
            output.unlink(missing_ok=True)


def _instance(run_file: Path) -> str:
    return run_file.name.partition(".")[0]


def _runner(run_file: Path) -> str | None:
    """The name of the runner that wrote the file; None where it cannot be read."""
    try:
        run = json.loads(run_file.read_bytes())
    except (OSError, ValueError):
        return None
    return run.get("runner") if isinstance(run, dict) else None
