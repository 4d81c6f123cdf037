from __future__ import annotations

import pytest

from common.settings import Llama, Server, Settings
from gateway.origins import Guard, host_allowed, origin_allowed, own_origins

LOOPBACK = ("127.0.0.1", 8080)
ALLOWED = {"http://127.0.0.1:3000", "http://localhost:3000", "https://models.example"}


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8080",
        "127.0.0.1:8080",
        "127.8.9.10",
        "[::1]",
        "[::1]:8080",
        # An SSH tunnel from another port.
        "localhost:9999",
        None,
    ],
)
def test_loopback_names_pass_while_bound_to_loopback(host: str | None) -> None:
    assert host_allowed(host, LOOPBACK)
    assert host_allowed(host, ("localhost", 8080))
    assert host_allowed(host, ("::1", 8080))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "192.168.1.5:8080",
        "0.0.0.0:8080",
        "[::2]:8080",
        "::1",
        "localhost:port",
        "localhost:",
        "localhost/",
        " localhost",
        "",
        "localhost" * 1000,
    ],
)
def test_other_names_are_refused_while_bound_to_loopback(host: str) -> None:
    assert not host_allowed(host, LOOPBACK)


def test_every_name_passes_while_bound_to_a_reachable_address() -> None:
    assert host_allowed("models.example", ("192.168.1.5", 8080))


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "http://127.0.0.1:3000",
        "HTTP://LOCALHOST:3000",
        "https://models.example",
        "https://models.example:443",
        "https://MODELS.example",
    ],
)
def test_allowed_origins_pass(origin: str | None) -> None:
    assert origin_allowed(origin, allowed=ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:3001",
        "https://127.0.0.1:3000",
        "http://localhost:3000/",
        "http://user@localhost:3000",
        "http://localhost:3000, http://localhost:3000",
        "http://models.example",
        "https://models.example.evil.example",
        "ftp://models.example",
        "localhost:3000",
        "//localhost:3000",
    ],
)
def test_other_origins_are_refused(origin: str) -> None:
    assert not origin_allowed(origin, allowed=ALLOWED)


def test_an_entry_that_is_no_origin_admits_nobody() -> None:
    assert not origin_allowed("null", allowed={"null", "*", ""})
    assert not origin_allowed("*", allowed={"null", "*", ""})


def test_own_origins_name_every_way_to_loopback() -> None:
    origins = own_origins("127.0.0.1", 3000)
    for origin in ("http://127.0.0.1:3000", "http://localhost:3000", "http://[::1]:3000"):
        assert origin_allowed(origin, allowed=origins)
    assert own_origins("192.168.1.5", 3000) == {"http://192.168.1.5:3000"}
    assert own_origins("fd00::5", 3000) == {"http://[fd00::5]:3000"}


@pytest.mark.parametrize("host", ["models.example", "MODELS.example:443", "localhost:1", "[::1]"])
def test_allowed_hosts_come_on_top_of_loopback_names(host: str) -> None:
    assert host_allowed(host, LOOPBACK, {"models.example"})
    assert not host_allowed(f"x{host}", LOOPBACK, {"models.example"})


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("models.example:3000", True),
        ("192.168.1.5:3000", True),
        ("localhost:3000", True),
        (None, True),
        ("evil.example", False),
        ("models.example.evil.example", False),
        ("192.168.1.6", False),
        ("", False),
    ],
)
def test_allowed_hosts_are_all_there_are_on_a_reachable_address(
    host: str | None, allowed: bool
) -> None:
    assert host_allowed(host, ("192.168.1.5", 3000), {"models.example"}) is allowed


def guards(server: Server, llama: Llama) -> tuple[Guard, Guard]:
    settings = Settings(server=server, llama=llama)
    return Guard.of_gateway(settings), Guard.of_proxy(settings)


def test_a_page_of_the_gateway_may_use_both_ports_under_any_of_their_names() -> None:
    gateway, proxy = guards(Server(host="10.0.0.1"), Llama(host="10.0.0.1"))
    for name in ("10.0.0.1", "models.example", "[fd00::1]"):
        assert gateway.admits_origin(f"http://{name}:3000", f"{name}:3000")
        assert proxy.admits_origin(f"http://{name}:3000", f"{name}:8080")


def test_a_page_of_another_port_or_host_may_not() -> None:
    gateway, proxy = guards(Server(host="10.0.0.1"), Llama(host="10.0.0.1"))
    for guard, port in ((gateway, 3000), (proxy, 8080)):
        for origin in (
            "http://models.example:5000",
            "http://evil.example:3000",
            "http://models.example",
            "null",
            "ftp://models.example",
            "ftp://models.example:21",
        ):
            assert not guard.admits_origin(origin, f"models.example:{port}")
        assert guard.admits_origin(None, f"models.example:{port}")
    assert not proxy.admits_origin("http://models.example:8080", "models.example:8080")


def test_a_gateway_behind_a_forwarded_port_or_tls_knows_its_own_pages() -> None:
    gateway, proxy = guards(Server(), Llama())
    assert gateway.admits_origin("http://localhost:9999", "localhost:9999")
    assert gateway.admits_origin("https://models.example", "models.example")
    assert not gateway.admits_origin("http://localhost:5173", "localhost:3000")
    assert not proxy.admits_origin("http://localhost:9999", "localhost:8080")


def test_further_origins_are_as_configured() -> None:
    page, chat = "https://admin.example", "https://chat.example"
    gateway, proxy = guards(Server(allowed_origins=(page,)), Llama(allowed_origins=(chat,)))
    assert gateway.admits_origin(page, "localhost:3000")
    assert not gateway.admits_origin(chat, "localhost:3000")
    assert proxy.admits_origin(chat, "localhost:8080")
    assert not proxy.admits_origin(page, "localhost:8080")
