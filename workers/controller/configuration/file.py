"""The file `config.toml`, read as a whole and replaced as a whole. All of this blocks."""

from __future__ import annotations

from pathlib import Path

from common.errors import ConfigInvalid, ServerError
from workers.controller import durable


def read(path: Path) -> str:
    """The text; empty where there is no file. Raises ConfigInvalid."""
    try:
        # newline: as they are in the file, else a change would touch every line.
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path}: this is not UTF-8 text: {error}") from error
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {error.strerror}") from error


def write(path: Path, text: str) -> None:
    """Replace the file; where it is a symbolic link, the file that it leads to.

    Mode and owner stay as far as we may set them. Raises ServerError where the disk refuses; the
    old file is as it was then.
    """
    target = path.resolve()
    try:
        durable.replace(target, text.encode())
    except OSError as error:
        raise ServerError(
            f"{target} cannot be written: {error.strerror}; nothing has changed"
        ) from error
