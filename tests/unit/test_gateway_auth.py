from __future__ import annotations

import pytest

from common.api.base import Role
from common.caller import EVERYBODY, LOCAL, Caller
from common.errors import Unauthenticated
from deploy.arguments import ROLES
from gateway.auth import MAX_TOKEN_CHARACTERS, Access, token_of, token_of_auth
from tests.support.access import SECRETS, TokenTable, access_with, everyone, token


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"cookie", b"x")], None),
        ([(b"authorization", b"Bearer lap_a")], "lap_a"),
        ([(b"authorization", b"BEARER   lap_a ")], "lap_a"),
        ([(b"authorization", b"Basic abc")], "Basic abc"),
        ([(b"authorization", b"")], ""),
        ([(b"authorization", b"Bearer")], "Bearer"),
        ([(b"x-api-key", b" lap_a ")], "lap_a"),
        ([(b"x-api-key", b"lap_a"), (b"authorization", b"Bearer lap_b")], "lap_b"),
        ([(b"authorization", b"Bearer lap_b"), (b"x-api-key", b"lap_a")], "lap_b"),
        ([(b"authorization", b"Bearer \xff\xfe")], "\xff\xfe"),
    ],
)
def test_the_token_of_a_request(headers: list[tuple[bytes, bytes]], expected: str | None) -> None:
    assert token_of(headers) == expected


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"token": "lap_a"}, "lap_a"),
        ({"token": "lap_a", "more": 1}, "lap_a"),
        ({"token": ""}, None),
        ({"token": None}, None),
        ({"token": ["lap_a"]}, None),
        ({}, None),
        (None, None),
        ("lap_a", None),
        (["token"], None),
    ],
)
def test_the_token_of_a_socketio_handshake(auth: object, expected: str | None) -> None:
    assert token_of_auth(auth) == expected


@pytest.mark.parametrize(
    "secret",
    ["", "lap_", "x" * (MAX_TOKEN_CHARACTERS + 1), "\ud800", "\0", SECRETS[Role.ADMIN] + " "],
)
def test_what_is_no_token_is_refused(secret: str) -> None:
    with pytest.raises(Unauthenticated):
        access_with(*everyone()).identify(secret)


def test_a_row_of_anybody_but_the_controller_counts_for_nothing() -> None:
    table = TokenTable()
    access = Access(table.mirror, public=False)
    made_up = token("made up", Role.ADMIN, "lap_x")
    table.tell(made_up, owner="runner-0@elsewhere")
    assert not access.known()
    table.tell()
    assert access.identify("lap_x") == EVERYBODY
    assert access.tokens() == []


def test_access_ends_with_its_token() -> None:
    table = TokenTable()
    access = Access(table.mirror, public=False)
    changes = []
    access.on_change(lambda: changes.append(len(access.tokens())))
    table.tell()
    assert access.still(EVERYBODY)
    first, second = token("a", Role.ADMIN, "lap_a"), token("b", Role.VIEWER, "lap_b")
    table.tell(first, second)
    bearer = access.identify("lap_a")
    assert bearer == Caller("a", Role.ADMIN, first.id)
    assert access.still(bearer)
    assert not access.still(EVERYBODY)
    assert access.still(LOCAL)
    table.tell(second)
    assert not access.still(bearer)
    table.tell()
    assert access.still(EVERYBODY)
    assert not access.still(bearer)
    assert changes == [1, 2, 1, 0]


def test_public_access_never_opens_by_itself() -> None:
    access = access_with(public=True)
    assert not access.still(EVERYBODY)
    with pytest.raises(Unauthenticated, match="there are none"):
        access.identify(None)


def test_callers_are_ranked_as_roles_are_listed() -> None:
    for high, role in enumerate(Role):
        for low, needed in enumerate(Role):
            assert Caller("x", role).may(needed) == (high >= low)


def test_the_command_line_knows_all_roles() -> None:
    assert tuple(role.value for role in Role) == ROLES
