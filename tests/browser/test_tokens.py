"""Who needs an access token is asked for it, and who may only look sees what they may not touch."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import assert_accessible, watched_page
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def viewer(guarded: Stack) -> str:
    made = guarded.cli("token", "create", "--name", "onlooker", "--role", "viewer")
    found = re.search(r"lap_\S+", made.stdout)
    assert found is not None, made.stdout + made.stderr
    return found.group()


@pytest.fixture
def page(browser: Browser, guarded: Stack, viewer: str) -> Iterator[Page]:
    assert viewer
    with watched_page(browser, guarded.gateway_url) as (opened, _):
        opened.goto("/")
        expect(opened.get_by_role("dialog", name="Access token")).to_be_visible()
        yield opened


def enter(page: Page, token: str, *, remember: bool = False) -> None:
    page.get_by_label("Token", exact=True).fill(token)
    if remember:
        page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Connect").click()


def test_a_wrong_token_is_refused_and_a_right_one_let_in(page: Page, viewer: str) -> None:
    assert_accessible(page)
    enter(page, "lap_wrong")
    expect(page.get_by_text("this access token is not valid")).to_be_visible()
    enter(page, viewer)
    expect(page.get_by_role("dialog", name="Access token")).to_be_hidden()
    expect(page.get_by_text("onlooker · viewer")).to_be_visible()


def test_a_viewer_sees_but_cannot_touch(page: Page, viewer: str) -> None:
    enter(page, viewer)
    unload = page.get_by_role("button", name="Unload babble-demo")
    expect(unload).to_be_disabled()
    expect(unload).to_have_attribute("title", "Needs the role operator")
    expect(page.get_by_role("button", name="Restart controller")).to_be_disabled()


def test_a_token_is_kept_as_long_as_was_asked_for(page: Page, viewer: str) -> None:
    enter(page, viewer, remember=True)
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    other = page.context.new_page()
    other.goto("/")
    expect(other.locator("[data-connection=connected]")).to_be_visible()
    other.get_by_role("button", name="Forget the access token").click()
    expect(other.get_by_role("dialog", name="Access token")).to_be_visible()
    page.reload()
    expect(page.get_by_role("dialog", name="Access token")).to_be_visible()


def test_a_revoked_token_is_asked_for_anew(page: Page, guarded: Stack) -> None:
    made = guarded.cli("token", "create", "--name", "guest", "--role", "operator")
    found = re.search(r"lap_\S+", made.stdout)
    assert found is not None
    enter(page, found.group())
    expect(page.locator("[data-connection=connected]")).to_be_visible()
    (entry,) = (
        line for line in guarded.cli("token", "list").stdout.splitlines() if "guest" in line
    )
    assert guarded.cli("token", "revoke", entry.split()[0]).returncode == 0
    expect(page.get_by_role("dialog", name="Access token")).to_be_visible()
