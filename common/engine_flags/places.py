"""Where engines may read what flags name: below modelsDir and home, except our own files there.

An engine shows some of what it reads (a chat template, at /props), so that home's secrets must not
be among it: tokens, keys, the run-files with the engines' own keys.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from common.engine_flags.paths import check_path
from common.home import Home
from common.settings import Settings


def path_rule(home: Home, settings: Settings) -> Callable[[str], str | None]:
    """Says why a path may not be given to an engine of this home; None where it may. It blocks."""
    models = home.models(settings)
    private = (home.run, home.engines, home.locks, home.cache, home.keys(settings))
    logs = home.logs(settings)

    def refuse(path: str) -> str | None:
        problem = check_path(path, (models, home.root), (*private, logs))
        if problem is None and _lies_in(path, home.root):
            return f"the files directly in {home.root} are llama-proxy's own"
        return problem

    return refuse


def _lies_in(path: str, directory: Path) -> bool:
    return Path(os.path.realpath(path)).parent == Path(os.path.realpath(directory))
