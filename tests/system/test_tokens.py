"""Access tokens on the whole stack: made by the command line, used by the stock client."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from common.api.base import Role
from common.api.catalog import COMMANDS
from common.caller import Caller
from common.token_store import TokenStore
from tests.support.node import run_script
from tests.support.ports import free_ports
from tests.support.socketio_caller import Refused, socketio_caller
from tests.support.stack import Stack, run_cli, running_stack
from tests.support.waiting import wait_for

EVERYWHERE = str(ipaddress.IPv4Address(0))
EXPOSED = {"SERVER__HOST": EVERYWHERE, "LLAMA__HOST": EVERYWHERE}
WITHIN_MS = 1000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Its own: tokens would shut other tests out."""
    with running_stack(tmp_path_factory.mktemp("tokens"), {}) as running:
        yield running


def create(stack: Stack, name: str, role: str) -> str:
    made = stack.cli("token", "create", "--name", name, "--role", role)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def chat(stack: Stack, token: str | None) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = {"model": "babble-demo", "messages": [], "prompt": "hi", "max_tokens": 1}
    return requests.post(
        f"{stack.proxy_url}/v1/completions", json=body, headers=headers, timeout=30
    )


def test_tokens_from_the_first_to_the_last(stack: Stack) -> None:
    assert requests.get(f"{stack.proxy_url}/v1/models", timeout=10).status_code == 200
    admin = create(stack, "admin", "admin")
    # The first token shuts everybody else out; the owner of home goes on as before.
    wait_for(lambda: requests.get(f"{stack.proxy_url}/v1/models", timeout=10).status_code == 401)
    assert stack.cli("status").returncode == 0
    told = run_script("tokens.mjs", stack.gateway_url, admin, timeout_s=60)
    assert len(told["forms"]) == 6
    for form, seen in told["forms"].items():
        assert seen["listed"], form
        assert seen["denied"]["code"] == "PERMISSION_DENIED"
        assert "operator" in seen["denied"]["message"]
        assert seen["revoked"]
        assert seen["reason"] == "io server disconnect"
        assert seen["afterMs"] < WITHIN_MS
        assert seen["again"]["data"] == {"code": "UNAUTHENTICATED"}
        assert seen["without"]["data"] == {"code": "UNAUTHENTICATED"}
        assert "access token is needed" in seen["without"]["message"]
    assert [token["name"] for token in told["tokens"]] == ["admin"]
    assert set(told["tokens"][0]) == {"id", "name", "role", "createdAt"}
    assert told["unknown"]["code"] == "TOKEN_NOT_FOUND"
    assert told["wrong"]["code"] == "INVALID_REQUEST"
    assert told["inference"]["data"] == {"code": "PERMISSION_DENIED"}

    assert chat(stack, told["inferenceToken"]).status_code == 200
    assert chat(stack, None).status_code == 401
    refused = stack.cli("chat", "babble-demo", "hello", "--max-tokens", "1")
    assert (refused.returncode, "access token is needed" in refused.stderr) == (1, True)
    said = stack.cli(
        "chat", "babble-demo", "hello", "--max-tokens", "1", "--token", told["inferenceToken"]
    )
    assert said.returncode == 0, said.stderr
    denied = stack.cli("status", "--token", told["inferenceToken"])
    assert (denied.returncode, "PERMISSION_DENIED" in denied.stderr) == (1, True)

    secrets = [admin, told["inferenceToken"]]
    for path in stack.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), path
    for process in stack.processes():
        assert not any(secret in " ".join(process.cmdline()) for secret in secrets)

    for token in TokenStore(stack.home / "tokens.sqlite").tokens():
        assert stack.cli("token", "revoke", token.id).returncode == 0
    wait_for(lambda: requests.get(f"{stack.proxy_url}/v1/models", timeout=10).status_code == 200)


def test_each_role_may_what_the_catalogue_says(stack: Stack) -> None:
    made = {role: create(stack, f"matrix {role.value}", role.value) for role in Role}
    try:
        asyncio.run(ask_everything(("127.0.0.1", stack.gateway_port), made))
    finally:
        for token in TokenStore(stack.home / "tokens.sqlite").tokens():
            stack.cli("token", "revoke", token.id)


async def ask_everything(address: tuple[str, int], made: dict[Role, str]) -> None:
    """Every command for every role; refused for its payload, if not for its caller."""
    for role, secret in made.items():
        if role is Role.INFERENCE:
            with pytest.raises(Refused):
                async with socketio_caller(address, secret):
                    pytest.fail("it was let in")
            continue
        async with socketio_caller(address, secret) as caller:
            for command in COMMANDS.values():
                error = (await caller.ask(command.name, {"noSuchField": 1}))["error"]
                allowed = Caller("", role).may(command.role)
                malformed = {"INVALID_REQUEST", "CONFIG_INVALID"}
                expected = malformed if allowed else {"PERMISSION_DENIED"}
                expected = {"UNKNOWN_COMMAND"} if command.internal else expected
                assert error["code"] in expected, (role, command.name, error)


def test_a_public_address_needs_a_token_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    gateway_port, proxy_port = free_ports(2)
    environment = {
        "LLAMA_PROXY_SERVER__PORT": str(gateway_port),
        "LLAMA_PROXY_LLAMA__PORT": str(proxy_port),
        **{f"LLAMA_PROXY_{key}": value for key, value in EXPOSED.items()},
    }
    refused = run_cli("up", home=home, environment=environment)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "llama-proxy token create --role admin --name NAME" in line
    made = run_cli("token", "create", "--name", "a", "--role", "admin", home=home, environment={})
    admin = made.stdout.strip()

    with running_stack(tmp_path, EXPOSED) as stack:
        assert f"http://127.0.0.1:{stack.gateway_port}" in stack.said()
        assert stack.cli("models").returncode == 0
        assert stack.cli("models", "--token", admin).returncode == 0
        assert chat(stack, None).status_code == 401
        assert chat(stack, admin).status_code == 200
        (token,) = TokenStore(home / "tokens.sqlite").tokens()
        assert stack.cli("token", "revoke", token.id).returncode == 0
        # The last one is gone: nobody is let in, least of all everybody.
        wait_for(lambda: chat(stack, admin).status_code == 401)
        assert chat(stack, None).status_code == 401
        assert "UNAUTHENTICATED" in stack.cli("models", "--token", admin).stderr
        assert stack.cli("models").returncode == 0
