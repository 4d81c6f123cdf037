"""Presets are made, changed in both views, checked, applied and removed on a real stack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.support.browser import PHONE, WIDE, assert_accessible, watched_page
from tests.support.stack import Stack

MINE = """\
; name: Mine
; description: For tests

; the context
[*]
ctx-size = 2048 ; small

[atlas-7b]
temp = 0.2
"""


def file_of(stack: Stack, name: str) -> Path:
    return stack.home / "presets" / f"{name}.ini"


@pytest.fixture
def mine(stack: Stack) -> Iterator[Path]:
    """A preset of this test alone, as somebody else has written it."""
    path = file_of(stack, "mine")
    path.write_text(MINE)
    yield path
    path.unlink(missing_ok=True)


def open_preset(page: Page, path: str = "") -> None:
    page.goto(f"/#/presets{path}")
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    expect(page.get_by_role("heading", level=1, name="Presets")).to_be_visible()


def row(page: Page, name: str) -> Any:
    return page.get_by_role("region", name="Files").get_by_role("link").filter(has_text=name)


def view(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="View").get_by_role("link", name=name).click()


def editor(page: Page) -> Any:
    return page.get_by_role("textbox", name="Text of the preset")


def append(page: Page, text: str) -> None:
    """Type behind the last line of the raw text."""
    editor(page).click()
    page.keyboard.press("Control+End")
    page.keyboard.type(text)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Models get it with their next load.").last).to_be_visible()
    expect(page.get_by_role("button", name="Discard changes")).to_have_count(0)


def test_a_new_preset_is_set_in_the_form_and_saved(page: Page, stack: Stack) -> None:
    open_preset(page)
    page.get_by_role("button", name="New preset").click()
    dialog = page.get_by_role("dialog", name="New preset")
    for wrong in (".hidden", "a/b", "default"):
        dialog.get_by_label("Filename").fill(wrong)
        expect(dialog.get_by_role("button", name="Create")).to_be_disabled()
        expect(dialog.locator("[aria-invalid=true]")).to_have_count(1)
    dialog.get_by_label("Filename").fill("fresh")
    dialog.get_by_label("Name", exact=True).fill("Fresh")
    dialog.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile("#/presets/fresh$"))
    expect(page.get_by_text("Nothing is set in this section")).to_be_visible()

    page.keyboard.press("/")
    page.keyboard.type("context slots")
    page.get_by_role("button", name="Set ctx-size", exact=True).click()
    expect(page.get_by_label("ctx-size", exact=True)).to_be_focused()
    page.get_by_label("ctx-size", exact=True).fill("4096")
    view(page, "Raw")
    expect(editor(page)).to_contain_text("ctx-size = 4096")
    save(page)
    expect(row(page, "Fresh")).to_be_visible()
    assert file_of(stack, "fresh").read_text() == (
        "; name: Fresh\nversion = 1\n\n[*]\nctx-size = 4096\n"
    )

    view(page, "Form")
    page.get_by_role("button", name="Unset ctx-size").click()
    expect(page.get_by_text("Nothing is set in this section")).to_be_visible()
    save(page)
    assert file_of(stack, "fresh").read_text() == "; name: Fresh\nversion = 1\n\n[*]\n"
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row(page, "Fresh")).to_have_count(0)


def test_what_is_wrong_is_told_at_the_line_and_at_the_field(page: Page, mine: Path) -> None:
    open_preset(page, "/mine?view=raw")
    append(page, "ctx-sise = many\ntop-k = many\n")
    remarks = page.get_by_role("list", name="Remarks")
    expect(remarks.get_by_role("listitem").filter(has_text="Line 10")).to_contain_text("ctx-size")
    expect(remarks.get_by_role("listitem").filter(has_text="Line 11")).to_contain_text("many")
    expect(page.locator(".cm-lint-marker-error")).to_have_count(2)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Put right what is marked below")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    assert mine.read_text() == MINE

    view(page, "Form")
    page.get_by_label("Section", exact=True).select_option("atlas-7b")
    expect(page.get_by_label("top-k", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("top-k", exact=True)).to_have_accessible_description(
        re.compile("'many' is not a whole number")
    )
    page.get_by_role("button", name="Use ctx-size").click()
    page.get_by_label("ctx-size", exact=True).fill("1024")
    page.get_by_label("top-k", exact=True).fill("4; 5")
    expect(page.get_by_text("Not taken over")).to_be_visible()
    page.get_by_label("top-k", exact=True).fill("40")
    expect(page.locator("[aria-invalid=true]")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)
    save(page)
    assert mine.read_text() == MINE + "ctx-size = 1024\ntop-k = 40\n"

    view(page, "Raw")
    append(page, "no entry at all")
    expect(remarks).to_contain_text("Line 12")
    view(page, "Form")
    expect(page.get_by_text("The text cannot be shown as a form")).to_be_visible()


def test_the_keyboard_comes_out_of_the_editor(page: Page, mine: Path) -> None:
    assert mine.exists()
    open_preset(page, "/mine?view=raw")
    append(page, "gm/?")
    expect(editor(page)).to_contain_text("gm/?")
    page.keyboard.press("Tab")
    expect(editor(page)).not_to_be_focused()
    page.get_by_role("button", name="Discard changes").click()
    expect(editor(page)).not_to_contain_text("gm/?")


def test_a_preset_is_applied_copied_renamed_and_deleted(
    page: Page, stack: Stack, mine: Path
) -> None:
    open_preset(page, "/mine?view=resolved&model=atlas-7b")
    flags = page.get_by_role("group", name="Flags").get_by_role("row")
    expect(flags.filter(has_text="temp")).to_contain_text("[atlas-7b]")
    expect(flags.filter(has_text="ctx-size")).to_contain_text("[*]")
    page.get_by_role("button", name="Apply").click()
    dialog = page.get_by_role("dialog", name="Apply mine")
    dialog.get_by_label("atlas-7b").check()
    dialog.get_by_role("button", name="Apply").click()
    expect(row(page, "Mine")).to_contain_text("Used by atlas-7b")

    page.get_by_role("button", name="Duplicate").click()
    page.get_by_role("dialog").get_by_role("button", name="Duplicate").click()
    expect(page).to_have_url(re.compile("#/presets/mine-copy"))
    expect(row(page, "Mine (copy)")).to_be_visible()
    assert file_of(stack, "mine-copy").read_text() == MINE.replace("Mine", "Mine (copy)")
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Filename").fill("theirs")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page).to_have_url(re.compile("#/presets/theirs"))
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row(page, "Mine (copy)")).to_have_count(0)
    assert not file_of(stack, "theirs").exists()

    row(page, "Mine").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("It is used by atlas-7b")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row(page, "Mine")).to_have_count(0)
    assert not mine.exists()


def test_nothing_unsaved_and_nothing_of_others_is_lost(page: Page, mine: Path) -> None:
    open_preset(page, "/mine")
    page.get_by_label("ctx-size", exact=True).fill("512")
    row(page, "Low memory").click()
    dialog = page.get_by_role("dialog", name="Leave without saving?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url(re.compile("#/presets/mine$"))
    expect(page.get_by_label("ctx-size", exact=True)).to_have_value("512")

    mine.write_text(MINE.replace("the context", "of somebody else"))
    page.get_by_role("button", name="Save", exact=True).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Somebody else has changed this preset")
    assert "of somebody else" in mine.read_text()
    alert.get_by_role("button", name="Keep mine").click()
    save(page)
    assert mine.read_text() == MINE.replace("2048", "512")

    page.get_by_label("ctx-size", exact=True).fill("256")
    page.get_by_role("navigation").get_by_role("link", name="Models").click()
    dialog.get_by_role("button", name="Leave without saving").click()
    expect(page.get_by_role("heading", level=1, name="Models")).to_be_visible()


@pytest.mark.parametrize(("theme", "size"), [("light", WIDE), ("dark", PHONE)])
def test_everybody_can_use_it(
    browser: Browser, stack: Stack, mine: Path, theme: str, size: ViewportSize
) -> None:
    mine.write_text(MINE + "ctx-sise = many\nport = 1\n")
    with watched_page(browser, stack.gateway_url, theme=theme, size=size) as (page, _):
        open_preset(page, "/mine?section=atlas-7b")
        for name in ("Form", "Raw", "Resolved") if size == WIDE else ("Form", "Raw"):
            view(page, name)
            if name == "Form":
                page.get_by_label("Search all flags").fill("cache")
                expect(page.get_by_text("The engine has no such flag")).to_be_visible()
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            assert_accessible(page)
            wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert page.evaluate(wider) is False
        if size == PHONE:
            expect(row(page, "Mine")).to_be_hidden()
            page.get_by_role("link", name="All presets").click()
        expect(row(page, "Mine")).to_contain_text("2 errors")
