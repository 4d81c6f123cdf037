from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from common.api.base import Command, Event, Struct
from common.api.catalog import COMMANDS, EVENTS
from deploy.api_page import examples
from deploy.api_page.examples import ExampleInvalid, command_examples, event_examples
from deploy.api_page.fields import given, nested, taken
from deploy.api_page.javascript import literal
from deploy.api_page.page import page, public_domains

COMMAND_NAMES = [name for name, command in COMMANDS.items() if not command.internal]
EVENT_NAMES = [name for name, event in EVENTS.items() if not event.internal]


class Inner(Struct, frozen=True):
    """What is inside, by `inner_name`."""

    inner_name: str


class Thing(Struct, frozen=True):
    """A thing with `how_many` parts."""

    how_many: Annotated[int, Meta(ge=1, le=10_000)]
    title: Annotated[str, Meta(max_length=64, pattern="^(a|b)$")] = "a"
    parts: tuple[Inner, ...] = ()
    values: tuple[float | None, ...] = ()
    remark: str | UnsetType = UNSET


class Nothing(Struct, frozen=True):
    """Nothing; no fields."""


def test_what_clients_send_is_shown_with_limits_and_defaults() -> None:
    assert taken(Thing).splitlines() == [
        "A thing with `howMany` parts.",
        "",
        "| field | type | default |",
        "|---|---|---|",
        "| `howMany` | integer, 1 to 10,000 | required |",
        '| `title` | string, 0 to 64 characters, `^(a\\|b)$` | `"a"` |',
        "| `parts` | list of [Inner](#inner) | `[]` |",
        "| `values` | list of (number or null) | `[]` |",
        "| `remark` | string | absent |",
    ]


def test_what_clients_get_is_shown_without_defaults() -> None:
    rows = given(Thing).splitlines()
    assert "| `howMany` | integer, 1 to 10,000 |" in rows
    assert "| `parts` | list of [Inner](#inner) |" in rows
    assert "| `remark` | string, or absent |" in rows


def test_a_struct_without_fields_is_an_empty_object() -> None:
    assert taken(Nothing) == given(Nothing) == "`{}`\n"


def test_inner_structs_are_found() -> None:
    assert nested([Thing, Nothing]) == [Inner]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({}, "{}"),
        ({"id": "x", "*": [1, None, True]}, '{ id: "x", "*": [1, null, true] }'),
        (
            {"a": "x" * 60, "b": ["y" * 40]},
            '{\n  a: "' + "x" * 60 + '",\n  b: ["' + "y" * 40 + '"]\n}',
        ),
    ],
)
def test_values_are_shown_as_javascript(value: Any, shown: str) -> None:
    assert literal(value) == shown


def test_lines_are_broken_where_they_would_be_too_long() -> None:
    value = {"rows": [{"name": "n" * 30, "path": "p" * 30, "more": "m" * 30}] * 2}
    lines = literal(value).splitlines()
    assert max(map(len, lines)) <= 96
    assert lines[:3] == ["{", "  rows: [", "    {"]


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_every_request_has_an_example(name: str) -> None:
    assert name in command_examples()


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_every_event_has_an_example(name: str) -> None:
    assert name in event_examples()


def test_every_domain_is_on_the_page() -> None:
    text = page()
    told: list[Command[Any, Any] | Event[Any]] = []
    for domain in public_domains():
        assert f"\n## {domain.title} API\n" in text
        told += [*domain.commands, *domain.events]
    assert {entry.name for entry in told} == {*COMMAND_NAMES, *EVENT_NAMES}
    for entry in told:
        assert f"\n### `{entry.name}`" in text


def test_links_lead_somewhere() -> None:
    text = page()
    headings = {
        line.lstrip("# ").replace("`", "").replace(":", "").lower()
        for line in text.splitlines()
        if line.startswith("#")
    }
    for link in set(_links(text)):
        assert link in headings, link


def _links(text: str) -> list[str]:
    return [part.partition(")")[0] for part in text.split("](#")[1:]]


def test_an_example_that_does_not_fit_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {"models:unload": {"request": {"id": 7}, "reply": {}}}
    (tmp_path / "models.json").write_bytes(msgspec.json.encode(wrong))
    monkeypatch.setattr(examples, "FOLDER", tmp_path)
    with pytest.raises(ExampleInvalid, match=r"models:unload, request: .*\$\.id"):
        command_examples.__wrapped__()
