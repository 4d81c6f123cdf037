"""Who may use the proxy: every path by every method, with and without a token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from common.api.base import Role
from common.caller import Caller, current
from gateway.auth import Access
from gateway.proxy.endpoints import PATHS
from gateway.proxy.in_flight import Lease
from tests.support.access import SECRETS, TokenTable, access_with, everyone, token
from tests.support.http_caller import Answer, calling, fetch
from tests.support.loops import on_both_loops
from tests.support.proxy_server import TableRouter, proxying
from tests.support.upstream_server import ScriptedUpstream, answering, scripted_upstream, whole

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
BODY = b'{"model": "tiny", "messages": []}'
ALL_PATHS = [*PATHS, "/v1/models/tiny", "/upstream/tiny/props", "/", "/nothing", "/v1/messages/x"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
HEALTH = {"/health", "/healthz", "/v1/health"}

Headers = Sequence[tuple[str, str]]


def bearer(secret: str) -> Headers:
    return [("Authorization", f"Bearer {secret}")]


STRANGERS: dict[str, Headers] = {
    "nothing": [],
    "wrong": bearer("lap_wrong"),
    "empty": [("X-Api-Key", "")],
    "no scheme": [("Authorization", "Bearer")],
    "basic": [("Authorization", f"Basic {SECRETS[Role.ADMIN]}")],
    "the bare token": [("Authorization", SECRETS[Role.ADMIN] + "x")],
    "wrong key": [("X-Api-Key", "lap_wrong")],
    "in the wrong header": [("Cookie", f"token={SECRETS[Role.ADMIN]}")],
    "its hash": bearer(everyone()[0].hash),
    "wrong beside right": [*bearer("lap_wrong"), ("X-Api-Key", SECRETS[Role.ADMIN])],
}


class WatchedRouter(TableRouter):
    """Remembers whom it leases for."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Caller] = []

    def lease(self, model_id: str) -> Lease | None:
        self.callers.append(current())
        return super().lease(model_id)


@asynccontextmanager
async def proxied(
    access: Access,
) -> AsyncIterator[tuple[tuple[str, int], WatchedRouter, ScriptedUpstream]]:
    router = WatchedRouter()
    async with (
        scripted_upstream(answering(whole(b"{}"))) as engine,
        proxying(router, access=access) as address,
    ):
        router.add("tiny", engine.host, engine.port)
        yield address, router, engine


async def status(address: tuple[str, int], method: str, path: str, headers: Headers) -> int:
    """The status alone: some answers never end."""
    async with calling(address) as caller:
        await caller.send(method, path, BODY if method == "POST" else b"", headers)
        return (await caller.head()).status_code


def error_of(answer: Answer) -> dict[str, str]:
    error: dict[str, str] = answer.json()["error"]
    return error


@pytest.mark.parametrize("path", ALL_PATHS)
async def test_strangers_get_nothing_and_the_lowest_role_gets_in(path: str) -> None:
    async with proxied(access_with(*everyone())) as (address, router, engine):
        for method in METHODS:
            answers = {
                who: await status(address, method, path, headers)
                for who, headers in STRANGERS.items()
            }
            (answer,) = set(answers.values())
            if path in HEALTH and method in ("GET", "HEAD"):
                assert answer == 200
            elif method == "OPTIONS":
                assert answer in (204, 404)
            else:
                assert answer in (401, 404, 405), (method, answer)
            if answer == 401:
                known = await status(address, method, path, bearer(SECRETS[Role.ADMIN]))
                assert known not in (401, 403), method
    assert {caller.name for caller in router.callers} <= {"admin"}
    for request in engine.requests:
        assert request.header(b"authorization") != f"Bearer {SECRETS[Role.ADMIN]}".encode()


@pytest.mark.parametrize("role", Role, ids=lambda role: role.value)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models/load"),
        ("POST", "/models/unload"),
        ("POST", "/lora-adapters"),
        ("POST", "/upstream/tiny/slots/0"),
        ("PUT", "/upstream/tiny/props"),
    ],
)
async def test_what_concerns_everybody_needs_an_operator(
    method: str, path: str, role: Role
) -> None:
    async with proxied(access_with(*everyone())) as (address, _, engine):
        headers = [*bearer(SECRETS[role]), ("Content-Type", "application/json")]
        answered = await fetch(address, method, path, BODY, headers)
        if role in (Role.OPERATOR, Role.ADMIN):
            assert answered.status == 200
        else:
            assert (answered.status, error_of(answered)["code"]) == (403, "permission_denied")
            assert not engine.requests


@on_both_loops
@pytest.mark.parametrize("role", Role, ids=lambda role: role.value)
async def test_every_role_may_infer_and_is_known_by_name(role: Role) -> None:
    async with proxied(access_with(*everyone())) as (address, router, engine):
        for headers in (
            bearer(SECRETS[role]),
            [("authorization", f"bearer {SECRETS[role]}")],
            [("X-Api-Key", SECRETS[role])],
        ):
            assert (await fetch(address, "POST", CHAT, BODY, headers)).status == 200
            assert (await fetch(address, "GET", MODELS, headers=headers)).status == 200
    assert [(c.name, c.role) for c in router.callers] == [(role.value, role)] * 3
    for request in engine.requests:
        for _, value in request.headers:
            assert SECRETS[role].encode() not in value


async def test_a_refusal_is_what_clients_of_openai_expect() -> None:
    async with proxied(access_with(*everyone())) as (address, _, _):
        answer = await fetch(address, "GET", MODELS)
        assert answer.status == 401
        assert answer.headers[b"www-authenticate"] == b"Bearer"
        error = error_of(answer)
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
        assert "llama-proxy token create" in error["message"]


async def test_a_revoked_token_is_refused_from_the_next_request_on() -> None:
    table = TokenTable()
    access = Access(table.mirror, public=False)
    kept = token("kept", Role.VIEWER, "lap_kept")
    table.tell(kept, token("gone", Role.ADMIN, "lap_gone"))
    async with proxied(access) as (address, _, _), calling(address) as caller:
        assert (await caller.request("GET", MODELS, headers=bearer("lap_gone"))).status == 200
        table.tell(kept)
        assert (await caller.request("GET", MODELS, headers=bearer("lap_gone"))).status == 401
        assert (await caller.request("GET", MODELS, headers=bearer("lap_kept"))).status == 200


async def test_without_tokens_loopback_is_open_and_a_public_address_is_closed() -> None:
    async with proxied(access_with()) as (address, _, _):
        assert (await fetch(address, "GET", MODELS)).status == 200
        assert (await fetch(address, "GET", MODELS, headers=bearer("any"))).status == 200
    async with proxied(access_with(public=True)) as (address, _, _):
        for headers in ([], bearer("any")):
            answer = await fetch(address, "GET", MODELS, headers=headers)
            assert answer.status == 401
            assert "there are none" in error_of(answer)["message"]


async def test_before_the_tokens_are_known_callers_are_asked_to_wait() -> None:
    table = TokenTable()
    async with proxied(Access(table.mirror, public=False)) as (address, _, _):
        answer = await fetch(address, "GET", MODELS, headers=bearer("any"))
        assert (answer.status, error_of(answer)["code"]) == (503, "unavailable")
        assert answer.headers[b"retry-after"]
        table.tell()
        assert (await fetch(address, "GET", MODELS)).status == 200
