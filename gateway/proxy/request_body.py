"""The caller's body: read within a bound, and asked which model it is for."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.proxy.errors import ClientGone, Refused, refusal
from gateway.proxy.request import Admitted, Request

JSON = "application/json"
"""What a page cannot send to another site without a preflight."""

FORM = "multipart/form-data"
"""What uploads are sent as."""

_HINT = 'Send a JSON object with a "model", for example {"model": "my-model", ...}.'


class Routed(msgspec.Struct, frozen=True):
    """The fields that routing needs; msgspec skips the others without building them."""

    model: str = ""
    stream: Any = False


_decoder = msgspec.json.Decoder(Routed)

_outermost = msgspec.json.Decoder(dict[str, msgspec.Raw])

_MODEL = b'"model"'
_ESCAPED = b"\\u006"
"""How each letter of it could be written otherwise; escaped ASCII letters are next to unknown."""


def require_type(admitted: Admitted) -> None:
    """Raises `Refused` (415) for a body of a type that the endpoint does not take."""
    require_plain(admitted)
    kind = admitted.head.media_type or ""
    wanted = FORM if admitted.endpoint.takes_form else JSON
    # Some programs announce every body as a form. JSON is JSON all the same.
    if kind not in (wanted, FORM):
        raise refusal(
            415,
            f"The body's Content-Type is {kind[:80]!r}; this path takes {wanted}: say so with the"
            " header Content-Type.",
            "unsupported_content_type",
        )


def require_plain(admitted: Admitted) -> None:
    """Raises `Refused` (415) for a compressed body."""
    encoding = admitted.head.content_encoding
    if encoding not in (None, "", "identity"):
        raise refusal(
            415,
            f"The body's Content-Encoding is {encoding!r}; send it uncompressed.",
            "unsupported_content_encoding",
        )


def body_at_hand(request: Request) -> bytes | None:
    """The whole body where it is here already, which saves waiting for it; else `read_body`.

    Raises `Refused` (413).
    """
    whole = request.exchange.take_whole()
    if whole is not None and len(whole) > request.max_body_bytes:
        raise _too_large(request.max_body_bytes)
    return whole


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises `Refused` (413, before reading where the length says so) and `ClientGone`.
    """
    limit_bytes = request.max_body_bytes
    if request.announced_bytes is not None and request.announced_bytes > limit_bytes:
        raise _too_large(limit_bytes)
    whole = body_at_hand(request)
    if whole is not None:
        return whole
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await request.exchange.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message["body"]
        size_bytes += len(part)
        if size_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(part)
        if not message["more_body"]:
            return b"".join(parts)


def routed(body: bytes) -> Routed:
    """What the body says of routing. Raises `Refused` (400) for what is not a JSON object."""
    try:
        if not body.isascii():
            body.decode()  # what the decoder skips it does not look at
        said = _decoder.decode(body)
    except msgspec.ValidationError as error:
        # It is JSON, but not an object, or its model is not a string.
        if "$.model" in str(error):
            raise refusal(
                400, f'"model" must be a string. {_HINT}', "invalid_model", param="model"
            ) from error
        raise refusal(400, f"The body is not a JSON object. {_HINT}", "invalid_body") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(
            400, f"The body is not valid JSON: {error}. {_HINT}", "invalid_json"
        ) from error
    if body.count(_MODEL) > 1 or _ESCAPED in body:
        _require_one_model(body)
    return said


def _require_one_model(body: bytes) -> None:
    """Raises `Refused` where the outermost object names its model twice.

    Readers of JSON do not agree on which of two counts, and nobody means to send both. The decoder
    keeps the last of them: what is written more often in the body than in what was kept of it was
    said twice. Nothing is built of the values, however large they are.
    """
    values = [bytes(value) for value in _outermost.decode(body).values()]
    written = body.count(_MODEL) - sum(value.count(_MODEL) for value in values)
    escaped = body.count(_ESCAPED) - sum(value.count(_ESCAPED) for value in values)
    if written > 1 or escaped:
        raise refusal(
            400, f"The body names two models; name one. {_HINT}", "two_models", param="model"
        )


def requested_model(body: str, query: str | None) -> str:
    """The model that the body or the query names. Raises `Refused` (400): none, or two."""
    if body and query and body != query:
        raise refusal(
            400,
            "The body and the query name two different models; name one.",
            "two_models",
            param="model",
        )
    if not body and not query:
        raise refusal(
            400,
            f"The body names no model. {_HINT} GET /v1/models lists the models.",
            "missing_model",
            param="model",
        )
    return body or query or ""


def _too_large(limit_bytes: int) -> Refused:
    return refusal(
        413,
        f"The body is larger than {limit_bytes} bytes. Send less, or raise llama.maxBodyBytes.",
        "body_too_large",
    )
