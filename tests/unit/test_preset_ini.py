from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.repository import ROOT
from workers.controller.presets.ini import Document, IniError, writable_problem

FILE = """\
; name: Mine
# description: what I use
version = 1
threads = 3 ; above every section

[*]
ctx-size=2048  ; small
 # an indented note
LLAMA_ARG_TEMP = 0.7
; about qwen
[qwen*]
c = 1
c = 2
[gone/today]"""

GRAMMAR: Mapping[str, Any] = json.loads(
    (ROOT / "tests" / "support" / "preset_grammar.json").read_text(encoding="utf-8")
)
"""Texts with what they say, or with the line that cannot be read; the dashboard reads them, too."""

# What llama.cpp's grammar allows, as its parts.
keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True).filter(
    lambda key: key != "version"
)
plain = st.text(st.characters(exclude_characters="\r\n;#", exclude_categories=["C"]), max_size=12)
values = plain.map(lambda text: text.strip(" \t"))
names = (
    st.text(st.characters(exclude_characters="]\r\n", exclude_categories=["C"]), min_size=1)
    .map(str.strip)
    .filter(bool)
)
entries = st.dictionaries(keys, values, max_size=4)
blanks = st.text(" \t", max_size=3)
comments = st.builds("{}{}{}".format, blanks, st.sampled_from(";#"), plain)
lines = st.one_of(
    blanks,
    comments,
    st.builds("[{}{}{}]{}".format, blanks, names, blanks, st.one_of(st.just(""), comments)),
    st.builds("{}{}={}{}{}".format, keys, blanks, blanks, values, st.one_of(st.just(""), comments)),
    st.just("version = 1"),
)
texts = st.builds(
    lambda parts, last: "".join(line + end for line, end in parts) + last,
    st.lists(st.tuples(lines, st.sampled_from(["\n", "\r\n", "\r"])), max_size=12),
    lines,
)


def comment_lines(document: Document) -> list[str]:
    return [line.text for line in document.lines if line.key is None and line.header is None]


def read(text: str) -> Mapping[str, Mapping[str, str]]:
    return Document.parse(text).sections


def test_a_file_reads_as_llama_cpp_reads_it() -> None:
    assert read(FILE) == {
        "default": {"threads": "3"},
        "*": {"ctx-size": "2048", "LLAMA_ARG_TEMP": "0.7"},
        "qwen*": {"c": "2"},
        "gone/today": {},
    }


@pytest.mark.parametrize(("text", "sections"), GRAMMAR["read"])
def test_the_grammar(text: str, sections: Mapping[str, Mapping[str, str]]) -> None:
    assert read(text) == sections
    assert str(Document.parse(text)) == text


@pytest.mark.parametrize(("text", "line"), GRAMMAR["refused"])
def test_what_llama_cpp_would_not_read_is_told_with_its_line(text: str, line: int) -> None:
    with pytest.raises(IniError) as caught:
        Document.parse(text)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: ")


def test_a_long_line_of_blanks_takes_no_time() -> None:
    blanks = " \t" * 60_000
    document = Document.parse(f"[a]\nk ={blanks}x{blanks}; y\n{blanks}\n[{blanks}b]\n")
    assert document.sections == {"a": {"k": "x"}, "b": {}}


@given(texts)
def test_reading_keeps_every_character(text: str) -> None:
    assert str(Document.parse(text)) == text


@given(st.text(st.sampled_from("[]=;# \tak\r\n\0-."), max_size=30))
def test_any_text_is_read_whole_or_refused(text: str) -> None:
    try:
        document = Document.parse(text)
    except IniError:
        return
    assert str(document) == text


@given(texts, names, entries)
def test_a_changed_section_says_what_it_was_given_and_all_else_stays(
    text: str, name: str, given_entries: dict[str, str]
) -> None:
    before = Document.parse(text)
    after = before.with_section(name, given_entries)
    again = Document.parse(str(after))
    assert again.sections.get(name, {}) == given_entries
    others = {section for section in before.sections if section != name}
    assert {section: again.sections[section] for section in others} == {
        section: before.sections[section] for section in others
    }
    assert after.sections == again.sections
    kept = [line for line in comment_lines(after) if line]
    assert kept == [line for line in comment_lines(before) if line]


@given(texts, entries)
def test_every_section_of_a_file_can_be_changed(text: str, given_entries: dict[str, str]) -> None:
    document = Document.parse(text)
    for name in document.sections:
        document = Document.parse(str(document.with_section(name, given_entries)))
        assert document.sections.get(name, {}) == given_entries


@given(texts)
def test_writing_what_was_read_changes_nothing_that_is_read(text: str) -> None:
    before = Document.parse(text)
    after = before
    for name, found in before.sections.items():
        after = after.with_section(name, found)
    assert Document.parse(str(after)).sections == before.sections


@given(texts)
def test_every_section_can_be_removed(text: str) -> None:
    document = Document.parse(text)
    for name in document.sections:
        document = Document.parse(str(document.without_section(name)))
        assert name not in document.sections
    assert document.sections == {}


@given(texts, plain)
def test_a_note_is_read_back(text: str, note: str) -> None:
    document = Document.parse(str(Document.parse(text).with_note("description", note)))
    assert (document.note("description") or "") == note.strip()
    assert document.sections == Document.parse(text).sections


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_what_is_said_to_be_writable_is_read_back(section: str, key: str, value: str) -> None:
    if writable_problem(section) or writable_problem(section, key, value):
        return
    written = str(Document().with_section(section, {key: value}))
    assert read(written) == {section: {key: value}}


def test_a_change_keeps_comments_order_and_spacing() -> None:
    document = Document.parse(FILE)
    document = document.with_section("*", {"ctx-size": "4096", "top-k": "4"})
    document = document.with_section("gone/today", {"seed": "1"})
    document = document.with_section("new", {"empty": ""})
    assert (
        str(document)
        == """\
; name: Mine
# description: what I use
version = 1
threads = 3 ; above every section

[*]
ctx-size=4096  ; small
top-k = 4
 # an indented note
; about qwen
[qwen*]
c = 1
c = 2
[gone/today]
seed = 1

[new]
empty =
"""
    )


def test_a_removed_section_leaves_the_next_ones_comment() -> None:
    document = Document.parse(FILE).without_section("*").without_section("default")
    assert (
        str(document)
        == """\
; name: Mine
# description: what I use
version = 1

; about qwen
[qwen*]
c = 1
c = 2
[gone/today]"""
    )


def test_notes_are_leading_comments() -> None:
    document = Document.parse(FILE)
    assert (document.note("name"), document.note("description")) == ("Mine", "what I use")
    assert Document.parse("[a]\n; name: no\n").note("name") is None
    named = Document.parse("[a]\n").with_note("name", "N").with_note("description", "D")
    assert str(named) == "; name: N\n; description: D\n[a]\n"
    assert str(named.with_note("name", "M").with_note("description", "")) == "; name: M\n[a]\n"


def test_new_lines_end_as_the_files_do() -> None:
    document = Document.parse("[a]\r\nk = 1\r\n").with_section("a", {"k": "2", "l": "3"})
    assert str(document) == "[a]\r\nk = 2\r\nl = 3\r\n"


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("", None, ""),
        (" a", None, ""),
        ("a]", None, ""),
        ("a\n[b]", None, ""),
        ("a\x00", None, ""),
        ("a", "", ""),
        ("a", "--ctx-size", "1"),
        ("a", "k\nl", "1"),
        ("a", "[b]", "1"),
        ("a", "; k", "1"),
        ("a", "version", "2"),
        ("a", "k", "1\nrpc = x"),
        ("a", "k", "1\r[b]"),
        ("a", "k", "1\x00"),
        ("a", "k", "#1"),
        ("a", "k", "1;"),
        ("a", "k", " 1"),
    ],
)
def test_what_would_be_read_back_otherwise_is_not_writable(
    section: str, key: str | None, value: str
) -> None:
    assert writable_problem(section, key, value)


@pytest.mark.parametrize("name", ["default", "long-context", "low-memory"])
def test_the_shipped_presets_are_read(name: str) -> None:
    text = (ROOT / "presets" / f"{name}.ini").read_text(encoding="utf-8")
    document = Document.parse(text)
    assert document.note("name")
    assert document.note("description")
    assert "ctx-size" in document.sections["*"]
    assert set(document.sections) == {"*"}
    assert str(document) == text
