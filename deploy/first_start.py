"""What `up` puts into a home that lacks it: a configuration to edit, presets, a model to try.

None of it is ever overwritten.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import tempfile
from pathlib import Path

from common.home import Home
from common.settings import Settings

DEMO_NAME = "babble-demo"
EXAMPLE = Path(__file__).with_name("config.example.toml")
_PACKAGED_PRESETS = Path(__file__).with_name("presets")
_CHECKED_OUT_PRESETS = Path(__file__).parent.with_name("presets")


def write_config(home: Home) -> None:
    """Write `config.toml` with every key commented out, unless there is one."""
    if home.config_file.exists():
        return
    home.config_file.write_text(commented_out(EXAMPLE.read_text(encoding="utf-8")), "utf-8")


def commented_out(example: str) -> str:
    """The example with its values as comments (`#port = 3000`), so that defaults stay defaults."""
    return re.sub(r"^(?=[A-Za-z]\w* = )", "#", example, flags=re.MULTILINE)


def write_demo(home: Home, settings: Settings) -> None:
    """Write the demo model if there is no model at all.

    It is an extra: where it cannot be written (a read-only disk), there is none.
    """
    models = home.models(settings)
    if next(models.rglob("*.gguf"), None) is not None:
        return
    # Imported here, since it takes numpy along.
    from deploy.demo_model import write_demo_model

    with contextlib.suppress(OSError):
        write_demo_model(models / f"{DEMO_NAME}.gguf")


def shipped_presets() -> Path:
    """The directory of the presets that come with this program: the wheel has them beside us."""
    return _PACKAGED_PRESETS if _PACKAGED_PRESETS.is_dir() else _CHECKED_OUT_PRESETS


def write_presets(home: Home, settings: Settings) -> None:
    """Copy the shipped presets, unless there is a directory of presets: then all of it is kept.

    They are an extra, too.
    """
    directory = home.presets(settings)
    if directory.exists():
        return
    with contextlib.suppress(OSError):
        directory.parent.mkdir(parents=True, exist_ok=True)
        # All of them or none, so that a start that is interrupted leaves the next one to do it.
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".presets-") as unfinished:
            whole = Path(unfinished) / "presets"
            whole.mkdir(mode=0o755)
            for shipped in sorted(shipped_presets().glob("*.ini")):
                shutil.copyfile(shipped, whole / shipped.name)
            whole.rename(directory)


def models_hint(home: Home, settings: Settings) -> str:
    """What to say about the models directory; empty where there are real models."""
    found = (path.name for path in home.models(settings).rglob("*.gguf"))
    match list(itertools.islice(found, 2)):
        case []:
            return "it is empty: put your .gguf files there"
        case [only] if only == f"{DEMO_NAME}.gguf":
            return f"{DEMO_NAME} is random and only babbles: put your .gguf files there"
    return ""
