"""Forms with files (`/v1/audio/transcriptions`): routed by their `model`, passed on unread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.http_caller import Answer, fetch
from tests.support.loops import on_both_loops
from tests.support.proxy_server import TableRouter, proxying
from tests.support.upstream_server import ScriptedUpstream, answering, scripted_upstream, whole

PATH = "/v1/audio/transcriptions"
FORM = ("Content-Type", "multipart/form-data; boundary=xYzZY")
AUDIO = bytes(range(256)) * 16
LIMIT_BYTES = 1 << 16


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--xYzZY\r\nContent-Disposition: form-data; name="{name}"{more}\r\n'
    return head.encode() + b"\r\n" + value + b"\r\n"


END = b"--xYzZY--\r\n"
FILE = part("file", AUDIO, '; filename="a.wav"\r\nContent-Type: audio/wav')
UPLOAD = FILE + part("model", b"team/tiny") + END


@asynccontextmanager
async def proxied(
    answer: bytes = whole(b'{"text":"hi"}'),
) -> AsyncIterator[tuple[tuple[str, int], ScriptedUpstream]]:
    router = TableRouter()
    async with (
        scripted_upstream(answering(answer)) as engine,
        proxying(router, max_body_bytes=LIMIT_BYTES) as address,
    ):
        router.add("team/tiny", engine.host, engine.port)
        yield address, engine


async def upload(address: tuple[str, int], body: bytes, kind: tuple[str, str] = FORM) -> Answer:
    return await fetch(address, "POST", PATH, body, [kind])


@on_both_loops
@pytest.mark.parametrize("path", [PATH, "/audio/transcriptions"])
async def test_a_form_reaches_the_engine_as_it_came(path: str) -> None:
    async with proxied() as (address, engine):
        assert (await fetch(address, "POST", path, UPLOAD, [FORM])).json() == {"text": "hi"}
        (request,) = engine.requests
        assert (request.target, request.body) == (path, UPLOAD)
        assert request.header(b"content-type") == FORM[1].encode()


async def test_an_engine_without_that_mode_says_so_itself() -> None:
    message = b'{"error":{"code":501,"message":"not supported","type":"not_supported_error"}}'
    async with proxied(whole(message, status=501)) as (address, _):
        answered = await upload(address, UPLOAD)
        assert (answered.status, answered.body) == (501, message)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (part("model", b"team/tiny") + FILE + END, FORM),
        (b"preamble\r\n" + UPLOAD + b"epilogue", FORM),
        (UPLOAD, ("Content-Type", 'Multipart/Form-Data; charset=utf-8; boundary="xYzZY"')),
        (UPLOAD.replace(b'name="model"', b"name=model"), FORM),
        (UPLOAD.replace(b"Content-Disposition", b"content-disposition"), FORM),
    ],
    ids=["model first", "preamble", "quoted boundary", "bare name", "lower case"],
)
async def test_ways_to_write_a_form(body: bytes, kind: tuple[str, str]) -> None:
    async with proxied() as (address, engine):
        assert (await upload(address, body, kind)).status == 200
        assert engine.requests[0].body == body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_form"),
        (b'{"model": "team/tiny"}', "invalid_form"),
        (FILE + END, "missing_model"),
        (FILE + part("model", b"") + END, "missing_model"),
        (FILE + part("model", b"team/tiny"), "invalid_form"),
        (part("model", b"team/tiny") + UPLOAD, "two_models"),
        (part("model", b"\xff") + END, "invalid_form"),
        (b"--xYzZY\r\nno end of this head", "invalid_form"),
        (b"--xYzZYmore\r\n\r\n", "invalid_form"),
        (part("a", b"") * 200 + UPLOAD, "invalid_form"),
        (part("a" * 10_000, b"") + UPLOAD, "invalid_form"),
        # What looks like a field within the file is a part of the file.
        (part("file", b'name="model"\r\n\r\nteam/tiny') + END, "missing_model"),
    ],
)
async def test_what_names_no_model_is_refused(body: bytes, code: str) -> None:
    async with proxied() as (address, engine):
        answered = await upload(address, body)
        assert (answered.status, answered.json()["error"]["code"]) == (400, code)
        assert not engine.requests


@pytest.mark.parametrize(
    "kind",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=a b"],
)
async def test_a_form_without_a_boundary_is_refused(kind: str) -> None:
    async with proxied() as (address, _):
        answered = await upload(address, UPLOAD, ("Content-Type", kind))
        assert (answered.status, answered.json()["error"]["code"]) == (400, "invalid_form")


async def test_what_is_no_form_and_what_is_too_large_is_refused() -> None:
    async with proxied() as (address, engine):
        json = ("Content-Type", "application/json")
        assert (await upload(address, b'{"model": "team/tiny"}', json)).status == 415
        assert (await upload(address, UPLOAD + b"x" * LIMIT_BYTES)).status == 413
        assert not engine.requests


async def test_an_unknown_model_is_named() -> None:
    async with proxied() as (address, _):
        answered = await upload(address, UPLOAD.replace(b"team/tiny", b"team/tinny"))
        assert answered.status == 404
        assert "team/tiny" in answered.json()["error"]["message"]
