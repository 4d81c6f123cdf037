"""Settings: the configuration is changed, and tokens are made and revoked, on a real stack."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.support.browser import PHONE, WIDE, Watched, assert_accessible, watched_page
from tests.support.stack import Stack
from tests.support.waiting import wait_for


@pytest.fixture
def changed(stack: Stack) -> Iterator[list[str]]:
    """The keys that a test changes; they are back at their defaults afterwards."""
    keys: list[str] = []
    yield keys
    for key in keys:
        assert stack.cli("config", "set", key, "default").returncode == 0


def open_settings(page: Page, part: str = "configuration/llama") -> None:
    page.goto(f"/#/settings/{part}")
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    expect(page.get_by_role("heading", level=1, name="Settings")).to_be_visible()


def setting(page: Page, path: str) -> Locator:
    return page.locator(f'[data-setting="{path}"]')


def save(page: Page) -> None:
    page.get_by_role("button", name="Review and save").click()
    page.get_by_role("dialog", name="Save these changes?").get_by_role(
        "button", name="Save"
    ).click()
    expect(page.get_by_role("region", name="Unsaved changes")).to_have_count(0)
    expect(page.get_by_role("region", name="Saved", exact=True)).to_be_visible()


def file_of(stack: Stack) -> Any:
    return tomllib.loads((stack.home / "config.toml").read_text())


def test_a_change_is_reviewed_saved_and_seen_by_others(
    page: Page, stack: Stack, browser: Browser
) -> None:
    open_settings(page)
    with watched_page(browser, stack.gateway_url) as (other, _):
        open_settings(other)
        expect(other.get_by_label("maxModels", exact=True)).to_have_value("4")
        page.get_by_label("maxModels", exact=True).fill("7")
        page.get_by_role("button", name="Review and save").click()
        dialog = page.get_by_role("dialog", name="Save these changes?")
        expect(dialog.locator('[data-change="llama.maxModels"]')).to_contain_text("4")
        expect(dialog.locator('[data-change="llama.maxModels"]')).to_contain_text("7")
        expect(dialog).to_contain_text("All of it holds at once")
        assert file_of(stack).get("llama", {}).get("maxModels") is None
        dialog.get_by_role("button", name="Save").click()
        saved = page.get_by_role("region", name="Saved", exact=True)
        expect(saved).to_contain_text("It holds already")
        assert file_of(stack)["llama"]["maxModels"] == 7
        expect(other.get_by_label("maxModels", exact=True)).to_have_value("7")
        expect(other.get_by_role("region", name="Changed elsewhere")).to_contain_text("maxModels")
    page.get_by_role("button", name="Reset to default: llama.maxModels").click()
    save(page)
    assert "maxModels" not in file_of(stack).get("llama", {})


def test_a_wrong_value_is_told_at_its_field_and_cannot_be_saved(page: Page) -> None:
    open_settings(page)
    field = page.get_by_label("maxModels", exact=True)
    field.fill("0")
    expect(setting(page, "llama.maxModels").get_by_role("alert")).to_contain_text(
        "a whole number from 1 to 1000"
    )
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("button", name="Review and save")).to_be_disabled()
    assert_accessible(page)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Models").click()
    page.get_by_role("dialog", name="Leave without saving?").get_by_role(
        "button", name="Cancel"
    ).click()
    expect(field).to_have_value("0")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Models").click()
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", level=1, name="Models")).to_be_visible()


def test_what_a_variable_sets_or_only_the_file_can_is_locked(page: Page) -> None:
    open_settings(page)
    port = setting(page, "llama.port")
    expect(port.get_by_label("port", exact=True)).not_to_be_editable()
    expect(port).to_contain_text("LLAMA_PROXY_LLAMA__PORT")
    expect(setting(page, "llama.allowedServerDirs")).to_contain_text("edit the file")


def test_settings_are_searched_and_those_that_restart_say_so(
    page: Page, stack: Stack, changed: list[str]
) -> None:
    open_settings(page, "configuration/server")
    expect(setting(page, "server.host")).to_contain_text("restart of gateway and proxy")
    page.keyboard.press("/")
    page.keyboard.type("seconds sample")
    expect(page.locator("[data-setting]")).to_have_count(1)
    field = page.get_by_role("textbox", name="metrics.intervalSeconds")
    field.fill("1.5")
    changed.append("metrics.intervalSeconds")
    # Somebody else wants the same to be something else.
    assert stack.cli("config", "set", "metrics.intervalSeconds", "2").returncode == 0
    clash = setting(page, "metrics.intervalSeconds").get_by_role("alert")
    expect(clash).to_contain_text("Somebody else has changed this meanwhile")
    expect(page.get_by_role("button", name="Review and save")).to_be_disabled()
    clash.get_by_role("button", name="Take theirs").click()
    expect(field).to_have_value("2")
    page.get_by_label("Search settings").fill("")
    page.get_by_label("Changed from default").check()
    expect(setting(page, "metrics.intervalSeconds")).to_be_visible()
    expect(setting(page, "llama.maxModels")).to_have_count(0)


def test_what_needs_a_restart_is_restarted_and_a_draft_outlives_it(
    page: Page, watched: Watched, changed: list[str]
) -> None:
    watched.expect("WebSocket connection to", "Failed to load resource")
    changed.append("server.allowedOrigins")
    open_settings(page, "configuration/server")
    origins = page.get_by_role("textbox", name="Add to server.allowedOrigins")
    origins.fill("https://models.example")
    origins.press("Enter")
    save(page)
    saved = page.get_by_role("region", name="Saved", exact=True)
    expect(saved).to_contain_text("go on with what was before until they are restarted")
    origins.fill("https://other.example")
    origins.press("Enter")
    saved.get_by_role("button", name="Restart gateway").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart", exact=True).click()
    expect(page.locator("[data-banner]")).to_be_visible()
    expect(saved).to_contain_text("All that had to restart has restarted", timeout=20_000)
    expect(page.get_by_label("server.allowedOrigins, entry 2")).to_have_value(
        "https://other.example"
    )
    expect(page.get_by_role("button", name="Review and save")).to_be_enabled()


def test_a_model_has_a_table_of_its_own(page: Page, stack: Stack, changed: list[str]) -> None:
    changed.append("models")
    open_settings(page, "configuration/models")
    page.get_by_role("combobox", name="Add to models").fill("atlas-7b")
    page.keyboard.press("Enter")
    entry = page.get_by_role("region", name="atlas-7b")
    entry.get_by_label("ttlSeconds").fill("600")
    entry.get_by_role("textbox", name="Add to models.atlas-7b.setParams").fill("temperature")
    page.keyboard.press("Enter")
    entry.get_by_label("models.atlas-7b.setParams.temperature", exact=True).fill("0.5")
    save(page)
    assert file_of(stack)["models"] == {
        "atlas-7b": {"ttlSeconds": 600, "setParams": {"temperature": 0.5}}
    }


def test_the_theme_is_chosen(page: Page) -> None:
    open_settings(page, "appearance")
    page.get_by_role("radio", name="Light text on a dark page").check()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize(("theme", "size"), [("light", WIDE), ("dark", PHONE)])
def test_everybody_can_use_it(
    browser: Browser, stack: Stack, theme: str, size: ViewportSize
) -> None:
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    with watched_page(browser, stack.gateway_url, theme=theme, size=size) as (page, _):
        open_settings(page)
        expect(setting(page, "llama.flags")).to_be_visible()
        page.get_by_label("maxModels", exact=True).fill("5")
        assert page.evaluate(wider) is False
        page.get_by_role("button", name="Review and save").click()
        expect(page.get_by_role("dialog").locator("[data-change]")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("button", name="Back").click()
        page.get_by_role("button", name="Discard").click()
        for part in ("Tokens", "About"):
            page.get_by_role("link", name=part).click()
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            assert_accessible(page)
            assert page.evaluate(wider) is False


@pytest.fixture
def without_tokens(guarded: Stack) -> Iterator[Stack]:
    """The stack of its own without any token, before and after."""
    _revoke_all(guarded)
    yield guarded
    _revoke_all(guarded)


def _revoke_all(stack: Stack) -> None:
    for token in re.findall(r"^[0-9a-f]{12}\b", stack.cli("token", "list").stdout, re.MULTILINE):
        assert stack.cli("token", "revoke", token).returncode == 0


def test_the_first_token_and_those_after_it(without_tokens: Stack, browser: Browser) -> None:
    with watched_page(browser, without_tokens.gateway_url) as (page, _):
        open_settings(page, "tokens")
        expect(page.get_by_text("There are no tokens")).to_be_visible()
        page.get_by_role("button", name="Create a token").click()
        page.get_by_role("dialog").get_by_label("Name").fill("/me")
        expect(page.get_by_text("It begins with a letter or a digit.")).to_be_visible()
        page.get_by_role("dialog").get_by_label("Name").fill("me")
        page.get_by_role("button", name="Create", exact=True).click()
        shown = page.get_by_role("dialog", name="The token me")
        expect(shown).to_contain_text(re.compile(r"lap_\S{40}"))
        # The page goes on with it: whoever shows none is shut out by now.
        expect(page.get_by_text("me · admin")).to_be_visible()
        shown.get_by_role("button", name="Done").click()
        tokens = page.get_by_role("group", name="Access tokens").get_by_role("row")
        expect(tokens.filter(has_text="yours")).to_contain_text("me")

        page.get_by_role("button", name="Create a token").click()
        page.get_by_role("dialog").get_by_label("Name").fill("guest")
        page.get_by_role("button", name="Create", exact=True).click()
        secret = page.get_by_role("group", name="Token", exact=True).inner_text()
        page.get_by_role("button", name="Done").click()
        expect(page.get_by_text(secret)).to_have_count(0)
        _looks_on(without_tokens, browser, secret)

        page.get_by_role("button", name="Revoke guest").click()
        expect(page.get_by_role("dialog")).to_contain_text("disconnected within a second")
        page.get_by_role("button", name="Revoke", exact=True).click()
        expect(tokens.filter(has_text="guest")).to_have_count(0)
        wait_for(lambda: "guest" not in without_tokens.cli("token", "list").stdout, 5.0)

        page.get_by_role("button", name="Revoke me").click()
        expect(page.get_by_role("dialog")).to_contain_text("It is your own")
        page.get_by_role("button", name="Revoke", exact=True).click()
        expect(page.get_by_text("There are no tokens")).to_be_visible()


def _looks_on(stack: Stack, browser: Browser, secret: str) -> None:
    """A viewer sees all of it, and may touch nothing."""
    with watched_page(browser, stack.gateway_url) as (page, _):
        page.goto("/#/settings/configuration/logging")
        page.get_by_label("Token", exact=True).fill(secret)
        page.get_by_role("button", name="Connect").click()
        expect(page.get_by_text("guest · viewer")).to_be_visible()
        level = setting(page, "logging.level")
        expect(level).to_contain_text("Needs the role operator")
        expect(level.get_by_label("level")).to_be_disabled()
        page.get_by_role("link", name="Tokens").click()
        expect(page.get_by_text("Only an admin sees the tokens")).to_be_visible()
        create = page.get_by_role("button", name="Create a token")
        expect(create).to_be_disabled()
        expect(create).to_have_attribute("title", "Needs the role admin")
