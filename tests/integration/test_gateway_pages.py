"""What the gateway's port answers over HTTP, and which web pages may use it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from common.api.base import Role
from common.dispatch import Dispatcher
from common.settings import Server, Settings
from gateway.app import PATH, SOCKETIO_PATH
from gateway.origins import Guard
from gateway.pages import Pages, policy
from tests.support.access import SECRETS, access_with, everyone
from tests.support.guarded_gateway import RunningGateway, gateway_serving
from tests.support.http_caller import calling, fetch
from tests.support.socketio_caller import socketio_caller

HANDSHAKE = "?EIO=4&transport=polling"
POLLING = [SOCKETIO_PATH + HANDSHAKE, PATH + HANDSHAKE, f"{PATH}/{HANDSHAKE}"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
PAGE = "https://models.example"

Headers = Sequence[tuple[str, str]]

CALLERS: dict[str, Headers] = {
    "nobody": [],
    "wrong": [("Authorization", "Bearer lap_wrong")],
    **{role.value: [("Authorization", f"Bearer {SECRETS[role]}")] for role in Role},
}


@asynccontextmanager
async def gateway(
    server: Server | None = None, pages: Pages | None = None
) -> AsyncIterator[RunningGateway]:
    """With a token for each role."""
    guard = Guard.of_gateway(Settings(server=server or Server()))
    async with gateway_serving(access_with(*everyone()), Dispatcher(), guard, pages) as running:
        yield running


async def status(
    running: RunningGateway, method: str, path: str, headers: Headers, host: str = "localhost:3000"
) -> int:
    async with calling(running.address) as caller:
        await caller.send(method, path, b"", headers, host=host)
        return (await caller.head()).status_code


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    """A build of three files."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>dashboard</title>" + " " * 1000)
    (tmp_path / "assets" / "index-1a2b.js").write_text("// script\n" * 200)
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / ".built").write_text("for the build alone")
    return Pages(("127.0.0.1", 8080), tmp_path)


@pytest.mark.parametrize("method", METHODS)
async def test_health_and_pages_are_for_everybody_and_there_is_nothing_else(
    method: str, pages: Pages
) -> None:
    there = 200 if method in ("GET", "HEAD") else 405
    expected = {
        "/healthz": there,
        "/": there,
        "/index.html": there,
        "/assets/index-1a2b.js": there,
        "/favicon.svg": there,
        "/.built": 404,
        "/assets": 404,
        "/assets/": 404,
        "/assets/../index.html": 404,
        "/models": 404,
        "/metrics": 404,
    }
    async with gateway(pages=pages) as running:
        for headers in CALLERS.values():
            for path, answer in expected.items():
                assert await status(running, method, path, headers) == answer, (path, headers)


@pytest.mark.parametrize("path", POLLING)
async def test_polling_takes_its_own_methods_only(path: str) -> None:
    async with gateway() as running:
        for headers in CALLERS.values():
            assert await status(running, "GET", path, headers) == 200
            assert await status(running, "OPTIONS", path, headers) == 200
            for method in ("PUT", "PATCH", "DELETE", "TRACE"):
                assert await status(running, method, path, headers) == 405
            # Without a session there is nothing to send to.
            assert await status(running, "POST", path, headers) == 400


@pytest.mark.parametrize("path", POLLING)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:5173"])
async def test_pages_from_elsewhere_are_refused(path: str, origin: str) -> None:
    async with gateway() as running:
        answer = await fetch(running.address, "GET", path, b"", [("Origin", origin)])
        assert answer.status in (400, 403)
        assert b"access-control-allow-origin" not in answer.headers
        with pytest.raises(InvalidStatus) as caught:
            async with socketio_caller(running.address, headers={"Origin": origin}):
                pytest.fail("it was let in")
        assert caught.value.response.status_code in (400, 403)


async def test_own_and_allowed_pages_pass_without_credentials() -> None:
    async with gateway(Server(allowed_origins=(PAGE,))) as running:
        for origin in (PAGE, "http://localhost:3000", "http://127.0.0.1:3000"):
            answer = await fetch(running.address, "GET", POLLING[0], b"", [("Origin", origin)])
            assert answer.status == 200
            assert answer.headers[b"access-control-allow-origin"] == origin.encode()
            assert b"access-control-allow-credentials" not in answer.headers
            headers = {"Origin": origin}
            async with socketio_caller(
                running.address, SECRETS[Role.VIEWER], headers=headers
            ) as caller:
                assert caller.sid


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3000", "192.168.1.5:3000", "x y"])
@pytest.mark.parametrize("path", ["/healthz", "/", *POLLING])
async def test_a_name_that_is_not_ours_is_refused(path: str, host: str) -> None:
    async with gateway(Server(allowed_hosts=("models.example",))) as running:
        answer = await fetch(running.address, "GET", path, host=host)
        assert answer.status == 403
        assert answer.json()["error"]["code"] == "PERMISSION_DENIED"
        for own in ("localhost:3000", "127.0.0.1", "models.example", "models.example:443"):
            assert await status(running, "GET", path, [], own) in (200, 404)


async def test_a_websocket_under_a_foreign_name_is_refused() -> None:
    async with gateway() as running:
        with pytest.raises(InvalidStatus) as caught:
            async with socketio_caller(running.address, headers={"Host": "evil.example"}):
                pytest.fail("it was let in")
        assert caught.value.response.status_code in (400, 403)


async def test_two_names_are_refused() -> None:
    async with gateway() as running:
        reader, writer = await asyncio.open_connection(*running.address)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert (await reader.readline()).split()[1] in (b"400", b"403")
        writer.close()


async def test_files_named_by_their_content_are_kept_for_good_and_others_asked_for(
    pages: Pages,
) -> None:
    async with gateway(pages=pages) as running:
        script = await fetch(running.address, "GET", "/assets/index-1a2b.js")
        assert script.headers[b"cache-control"] == b"public, max-age=31536000, immutable"
        assert script.headers[b"content-type"] == b"text/javascript; charset=utf-8"
        page = await fetch(running.address, "GET", "/")
        assert page.headers[b"cache-control"] == b"no-cache"
        known = [("If-None-Match", page.headers[b"etag"].decode())]
        again = await fetch(running.address, "GET", "/", b"", known)
        assert (again.status, again.body) == (304, b"")
        other = await fetch(running.address, "GET", "/", b"", [("If-None-Match", '"other"')])
        assert other.status == 200


async def test_files_travel_compressed_where_the_browser_takes_that(pages: Pages) -> None:
    async with gateway(pages=pages) as running:
        for accepted, coded in (("gzip, br", True), ("gzip;q=0", False), ("identity", False)):
            headers = [("Accept-Encoding", accepted)]
            answer = await fetch(running.address, "GET", "/assets/index-1a2b.js", b"", headers)
            assert (answer.headers.get(b"content-encoding") == b"gzip") is coded
            body = gzip.decompress(answer.body) if coded else answer.body
            assert body == b"// script\n" * 200
            assert answer.headers[b"vary"] == b"Accept-Encoding"


async def test_every_file_comes_with_the_headers_that_fence_the_page_in(pages: Pages) -> None:
    async with gateway(pages=pages) as running:
        for path in ("/", "/assets/index-1a2b.js", "/favicon.svg"):
            answer = await fetch(running.address, "GET", path)
            assert answer.headers[b"x-content-type-options"] == b"nosniff"
            assert answer.headers[b"referrer-policy"] == b"no-referrer"
            assert answer.headers[b"x-frame-options"] == b"DENY"
            fence = answer.headers[b"content-security-policy"].decode()
            assert "unsafe" not in fence
            assert "default-src 'none'" in fence
            assert "frame-ancestors 'none'" in fence


@pytest.mark.parametrize(
    ("host", "proxy", "connect"),
    [
        ("localhost:3000", "127.0.0.1", ["http://localhost:8080", "http://127.0.0.1:8080"]),
        ("models.example", "0.0.0.0", ["http://models.example:8080"]),  # noqa: S104
        ("[::1]:3000", "::1", []),
        ("a;script-src *", "10.0.0.1", ["http://10.0.0.1:8080"]),
        (None, "::", []),
    ],
)
def test_the_page_connects_to_us_and_the_proxy_alone(
    host: str | None, proxy: str, connect: list[str]
) -> None:
    directives = dict(part.split(" ", 1) for part in policy(host, (proxy, 8080)).split("; "))
    sources = directives["connect-src"].split(" ")
    assert [source for source in sources if source.startswith("http:")] == connect
    ours = {f"ws://{host}", f"wss://{host}"} if connect and host and " " not in host else set()
    assert set(sources) - set(connect) == {"'self'"} | ours
    assert directives["script-src"] == "'self'"


async def test_a_dashboard_that_was_not_built_says_what_to_run() -> None:
    async with gateway() as running:
        answer = await fetch(running.address, "GET", "/")
        assert answer.status == 404
        assert b"make run" in answer.body
