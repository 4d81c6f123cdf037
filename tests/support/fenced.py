"""The fenced code blocks of a Markdown page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"^(#+ [^\n]*)$|^( *)```(\w*)\n(.*?)^\2```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One block. `heading` is the nearest above it; `line` counts from 1."""

    heading: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.heading} (line {self.line})"


def fenced_blocks(page: Path) -> list[Block]:
    """All blocks of a page, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    heading = ""
    for match in _FENCE.finditer(text):
        if match[1]:
            heading = match[1].lstrip("# ")
        else:
            line = text.count("\n", 0, match.start()) + 1
            blocks.append(Block(heading, line, match[3], match[4]))
    return blocks
