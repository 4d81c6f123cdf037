"""The file keeps what people wrote; only the asked values change."""

from __future__ import annotations

import difflib
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.first_start import EXAMPLE, commented_out
from workers.controller.configuration.edit import edited
from workers.controller.configuration.patch import merged

SHIPPED = commented_out(EXAMPLE.read_text())


def changed_lines(before: str, after: str) -> list[str]:
    """`+` and `-` with the line, in order."""
    return [
        line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"
    ]


def without_empty(value: Any) -> Any:
    """An empty table says the same as none."""
    if not isinstance(value, dict):
        return value
    inner = {name: without_empty(item) for name, item in value.items()}
    return {name: item for name, item in inner.items() if item != {}}


def line_above(text: str, line: str) -> str:
    lines = text.splitlines()
    return lines[lines.index(line) - 1]


def test_nothing_changes_where_nothing_is_asked() -> None:
    assert edited(SHIPPED, {}) == SHIPPED


def test_a_new_key_stands_below_its_commented_default() -> None:
    text = edited(SHIPPED, {"server": {"port": 3001}, "llama": {"flags": {"threads": "4"}}})
    assert changed_lines(SHIPPED, text) == ["+ port = 3001", '+ flags = {threads = "4"}']
    assert line_above(text, "port = 3001") == "#port = 3000"
    assert line_above(text, 'flags = {threads = "4"}') == "#flags = {}"


def test_a_key_that_goes_back_to_its_default_leaves_the_file_as_it_was() -> None:
    changes: dict[str, Any] = {"server": {"port": 3001}, "llama": {"flags": {"threads": "4"}}}
    back = {"server": {"port": None}, "llama": {"flags": None}}
    assert edited(edited(SHIPPED, changes), back) == SHIPPED


def test_a_value_changes_in_its_place_and_its_comment_stays() -> None:
    before = "# ours\n[llama]\nmaxModels = 2  # as many as fit\nport = 1\n"
    after = edited(before, {"llama": {"maxModels": 8}})
    assert after == before.replace("= 2", "= 8")


def test_a_new_key_without_a_comment_stands_behind_the_last_key() -> None:
    before = "[llama]\nport = 1\n\n# about logging\n[logging]\n"
    after = edited(before, {"llama": {"maxModels": 8}})
    assert changed_lines(before, after) == ["+ maxModels = 8"]
    assert line_above(after, "maxModels = 8") == "port = 1"


def test_a_new_section_comes_last() -> None:
    assert edited("[llama]\nport = 1\n", {"server": {"port": 2}}) == (
        "[llama]\nport = 1\n\n[server]\nport = 2\n"
    )


def test_tables_within_a_key_are_merged() -> None:
    before = "[llama]\nport = 1\n[llama.flags]\nthreads = '4' # four\njinja = ''\n"
    after = edited(before, {"llama": {"flags": {"jinja": None, "threads": "8"}}})
    assert tomllib.loads(after)["llama"] == {"port": 1, "flags": {"threads": "8"}}
    assert "# four" in after


def test_lists_of_tables_are_replaced_as_a_whole() -> None:
    runners = [{"name": "a", "devices": ["x"], "env": {"A": "b"}}, {"name": "b"}]
    text = edited(SHIPPED, {"runners": runners})
    assert tomllib.loads(text)["runners"] == runners
    text = edited(text, {"runners": [{"name": "c"}]})
    assert tomllib.loads(text)["runners"] == [{"name": "c"}]
    nothing: list[dict[str, Any]] = [{"runners": None}, {"runners": []}]
    for change in nothing:
        assert "runners" not in tomllib.loads(edited(text, change))


def test_windows_line_ends_stay() -> None:
    after = edited("[server]\r\nport = 1\r\n", {"server": {"host": "::1", "port": 2}})
    assert after == '[server]\r\nport = 2\r\nhost = "::1"\r\n'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[server]",
        "[server]\nport=1",
        "server.port = 3\n",
        "server = {port = 3}\n",
        '[server]\nhost="""\n#port = 3\n"""\n',
        "[server]\n# tail\n[llama]\nmaxModels=1",
        "[llama.flags]\na='1' # x\n[server]\n",
        "[[runners]]\nname='a'\n[server]\nport=2\n",
        "[llama]\nflags = {a = '1', b = '2'}\n",
        "llama.flags.a = '1'\n",
        "runners = [{name = 'q'}]\n[server]\nport = 1\n",
        '[models."b/c"]\nttlSeconds = 1\n\n[server]\nport = 1\n',
        "models = {a = {ttlSeconds = 1, setParams = {y = 1}}}\n",
        "[models.a]\n[server]\n[models.b]\nsetParams = {x = 1, y = 2} # note\n",
    ],
)
def test_the_text_says_what_was_asked_whatever_its_form(text: str) -> None:
    for changes in (
        {"server": {"port": 3001}, "llama": {"maxModels": 8, "flags": {"threads": "4"}}},
        {"llama": {"flags": {"threads": None, "a": None}, "preload": ["a", "b"]}},
        {"server": {"port": None, "host": None}, "runners": [{"name": "z"}]},
        {"models": {"a": {"aliases": ["x"], "setParams": {"y": None, "z": {"deep": [1]}}}}},
        {"models": {"a": None, "b/c": {"ttlSeconds": 5.5}}},
    ):
        wanted = merged(tomllib.loads(text), changes)
        text = edited(text, changes)
        assert without_empty(tomllib.loads(text)) == without_empty(wanted)


_values = st.one_of(
    st.integers(-5, 5), st.text(max_size=8), st.lists(st.text(max_size=3)), st.none()
)
_tables = st.dictionaries(st.sampled_from(["a", "b-c", "é", "d.e"]), _values, max_size=4)


@given(st.lists(st.dictionaries(st.sampled_from(["s", "t"]), _tables, max_size=2), max_size=5))
def test_any_changes_one_after_another_come_to_their_sum(steps: list[dict[str, Any]]) -> None:
    text = "# note\n[s]\n#a = 1\n"
    wanted: dict[str, Any] = {"s": {}}
    for step in steps:
        text, wanted = edited(text, step), merged(wanted, step)
    assert without_empty(tomllib.loads(text)) == without_empty(wanted)
    assert "# note" in text
