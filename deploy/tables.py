"""Processes and models as tables for people, and as JSON for scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from common.api.base import Struct
from common.api.models import ModelRow
from common.api.presets import Preset
from common.api.system import ProcessStatus
from common.api.tokens import TokenEntry

_STYLES: Mapping[str, str] = {
    "running": "green",
    "loaded": "green",
    "loading": "yellow",
    "unloading": "yellow",
    "gone": "red",
    "error": "red",
}
# In a pipe nothing is wrapped or cut, so that grep and awk see one line per row.
_PIPE_WIDTH = 4096


def console() -> Console:
    """Where results go. Names are shown as they are: brackets in them are no markup."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(markup=False, highlight=False, width=width)


def print_json(reply: Struct) -> None:
    """A reply as the API gives it."""
    text = msgspec.json.format(msgspec.json.encode(reply), indent=2)
    sys.stdout.write(text.decode() + "\n")


def process_table(processes: Iterable[ProcessStatus]) -> Table:
    """One row per process."""
    rows = [
        (
            Text(process.name),
            Text(process.kind),
            Text(process.host),
            Text(str(process.pid)),
            _status(process.status),
            Text(process.started_at),
        )
        for process in processes
    ]
    return _table(("PROCESS", "KIND", "HOST", "PID", "STATUS", "SINCE"), rows)


def model_table(models: Iterable[ModelRow]) -> Table:
    """One row per model; the reason is there for models in error."""
    rows = [
        (
            Text(model.id),
            Text(decimal(model.size), justify="right"),
            _status(model.status),
            Text(model.reason if isinstance(model.reason, str) else ""),
        )
        for model in models
    ]
    return _table(("MODEL", "SIZE", "STATUS", "REASON"), rows)


def token_table(tokens: Iterable[TokenEntry]) -> Table:
    """One row per access token, oldest first."""
    rows = [
        (Text(token.id), Text(token.name), Text(token.role.value), Text(token.created_at))
        for token in tokens
    ]
    return _table(("ID", "NAME", "ROLE", "SINCE"), rows)


def preset_table(presets: Iterable[Preset]) -> Table:
    """One row per preset; what is wrong with its file stands where its description would."""
    rows = [
        (
            Text(preset.filename),
            Text(preset.name),
            Text(", ".join(preset.applied_to) if isinstance(preset.applied_to, tuple) else ""),
            Text(preset.problem, style="red")
            if isinstance(preset.problem, str)
            else Text(preset.description),
        )
        for preset in presets
    ]
    return _table(("PRESET", "NAME", "USED BY", "DESCRIPTION"), rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[Text]]) -> Table:
    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    return table


def _status(status: str) -> Text:
    return Text(status, style=_STYLES.get(status, ""))
