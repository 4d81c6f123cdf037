"""Server-sent events of an OpenAI-style stream, line by line (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

DONE = "[DONE]"


class StreamCut(Exception):
    """The stream ended before it said that it was done."""


def chunks(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream up to its `[DONE]`; comments and other fields are skipped.

    Raises StreamCut if there is no `[DONE]`, ValueError if something is not JSON.
    """
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line.removeprefix(b"data:").strip().decode()
        if data == DONE:
            return
        yield json.loads(data)
    raise StreamCut("the answer ended before it was complete")
