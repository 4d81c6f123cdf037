"""The systemd unit of a home, as text: the packaged template with real paths.

Words of a command line stand in double quotes there, in which a backslash escapes; `%` and `$`
begin an expansion and are doubled to stand for themselves (systemd.service(5), "Command lines").
"""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import ConfigInvalid
from common.home import Home

TEMPLATE = Path(__file__).with_name("systemd") / "llama-proxy.service"


def render_unit(home: Home, config: Path | None) -> str:
    """The unit that runs this home as the current user; `config` is the file of --config."""
    options = ["--quiet", "--home", str(home.root)]
    if config is not None:
        options += ["--config", str(config)]
    values = {
        "USER": getpass.getuser(),
        "COMMAND": _words([str(command())]),
        "OPTIONS": _words(options),
        "HOME": _words([str(home.root)]),
    }
    text = TEMPLATE.read_text("utf-8")
    # What stands above the first section speaks of the template.
    text = text[text.index("[Unit]") :]
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text)


def command() -> Path:
    """The installed `llama-proxy` of this interpreter. Raises ConfigInvalid where there is none."""
    # Not resolved: in a virtual environment the interpreter is a link to one elsewhere.
    script = Path(sys.executable).with_name("llama-proxy")
    if not script.exists():
        raise ConfigInvalid(
            f"there is no {script}: install the package first (INSTALL.md), then render"
        )
    return script


def _words(words: Sequence[str]) -> str:
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", word):
        raise ConfigInvalid(f"{word!r}: systemd cannot hold a path with control characters")
    escaped = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[A-Za-z0-9/._%$+:,=@-]+", escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'
