"""From a command line to a stack: which home, which file, which settings, which programs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from common import environment
from common.devices import Gpu
from common.home import Home, find_home
from common.settings import Settings
from common.settings_source import load
from deploy.stack import Stack, stack_programs


def configured_home(home: Path | None, config: Path | None) -> tuple[Home, Settings]:
    """The home and its settings, for --home and --config as given. Raises ConfigInvalid."""
    found = find_home(home, os.environ)
    return found, load(found.root, config, os.environ)


def configured_stack(home: Path | None, config: Path | None, gpus: Iterable[Gpu]) -> Stack:
    """The stack to run on this host. Raises ConfigInvalid."""
    found, settings = configured_home(home, config)
    named = config or _from_environment()
    return Stack(
        home=found,
        # Programs run in another directory than this one.
        config=None if named is None else named.resolve(),
        settings=settings,
        programs=stack_programs(settings, gpus),
    )


def _from_environment() -> Path | None:
    named = os.environ.get(environment.CONFIG)
    return Path(named) if named else None
