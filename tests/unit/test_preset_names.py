from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.controller.presets.names import BadName, name_of_file, preset_name

TRAVERSALS = [
    "",
    ".",
    "..",
    ".ini",
    "..ini",
    ".hidden",
    "../default",
    "..\\default",
    "a/../../b",
    "a/b",
    "/etc/passwd",
    "//host/share",
    "%2e%2e%2fdefault",
    "..%2fdefault",
    "a%00",
    "a\x00.ini",
    "a\n",
    "a\nb",
    "a\r",
    "a b",
    "~root",
    "$HOME",
    "a;b",
    "a:b",
    "\u2025/a",
    "\uff0e\uff0e/a",
    "caf\u00e9",
    "a\u202e",
    "a" * 65,
    "a.ini.ini",
    "a.ini.ini" + "\n",
]


@pytest.mark.parametrize("text", TRAVERSALS)
def test_what_could_lead_elsewhere_is_no_name(text: str) -> None:
    with pytest.raises(BadName):
        preset_name(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("default", "default"),
        ("default.ini", "default"),
        ("A-b_c.d", "A-b_c.d"),
        ("-", "-"),
        ("a..b", "a..b"),
        ("a" * 64, "a" * 64),
        ("a" * 64 + ".ini", "a" * 64),
    ],
)
def test_names(text: str, name: str) -> None:
    assert preset_name(text) == name
    assert name_of_file(f"{name}.ini") == name


@given(st.text(max_size=70))
def test_a_name_is_one_plain_entry_of_a_directory(text: str) -> None:
    try:
        name = preset_name(text)
    except BadName:
        return
    assert name.isascii()
    assert set(name).isdisjoint("/\\%\0\n\r")
    assert not name.startswith(".")
    assert name_of_file(f"{name}.ini") == name  # what is saved is found again


@pytest.mark.parametrize(
    "filename", ["a", "a.INI", ".a.ini", ".ini", "a.ini.ini", "a.ini~", "a b.ini", ".a.ff.new"]
)
def test_other_files_are_no_presets(filename: str) -> None:
    assert name_of_file(filename) is None
