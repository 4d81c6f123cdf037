"""Which model an upload is for: the field `model` of a `multipart/form-data` body (RFC 7578).

Only the parts' heads are read; a file between them is searched for its end, and not copied.
"""

from __future__ import annotations

import re

from gateway.proxy.errors import Refused, refusal

MAX_PART_HEAD_BYTES = 4 * 1024
MAX_PARTS = 100
MAX_MODEL_BYTES = 1024

_BOUNDARY = re.compile(
    rb'multipart/form-data *;(?:.*;)? *boundary=(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70})) *(?:;.*)?',
    re.IGNORECASE,
)
_NAME = re.compile(
    rb'^content-disposition: *form-data *;(?:.*;)? *name="?([^";\r\n]*)"?',
    re.IGNORECASE | re.MULTILINE,
)


def model_of(body: bytes, content_type: bytes) -> str:
    """The value of the form's field `model`; empty where it has none.

    Raises `Refused` (400) for what is not a form, and where two parts are named so.
    """
    found = ""
    for name, start, end in _parts(body, content_type):
        if name != b"model":
            continue
        if found:
            raise refusal(400, "The form names two models; name one.", "two_models", param="model")
        try:
            found = body[start : min(end, start + MAX_MODEL_BYTES)].decode()
        except UnicodeDecodeError as error:
            raise _invalid("its model is not UTF-8") from error
    return found


def _parts(body: bytes, content_type: bytes) -> list[tuple[bytes, int, int]]:
    """Name, and where the content begins and ends, of each part."""
    boundary = _BOUNDARY.fullmatch(content_type)
    if boundary is None:
        raise _invalid("its Content-Type names no boundary")
    opening = b"--" + (boundary[1] or boundary[2])
    delimiter = b"\r\n" + opening
    # What comes before the first boundary is to be ignored.
    at = 0 if body.startswith(opening) else body.find(delimiter) + 2
    if not body.startswith(opening, at):
        raise _invalid("its boundary is nowhere in it")
    at += len(opening)
    parts: list[tuple[bytes, int, int]] = []
    while not body.startswith(b"--", at):
        head_end = body.find(b"\r\n\r\n", at, at + MAX_PART_HEAD_BYTES)
        if not body.startswith(b"\r\n", at) or head_end < 0 or len(parts) == MAX_PARTS:
            raise _invalid("one of its parts has no proper head")
        end = body.find(delimiter, head_end + 2)
        if end < 0:
            raise _invalid("its last part has no end")
        name = _NAME.search(body[at + 2 : head_end])
        parts.append((name[1] if name else b"", head_end + 4, end))
        at = end + len(delimiter)
    return parts


def _invalid(why: str) -> Refused:
    return refusal(400, f"The body is not a valid form: {why}.", "invalid_form")
