"""The portal in a real browser, without scripts: signing in, a key that is shown once, usage, signing out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from portal_rig import Stage, on_files, row
from tests.console.browser import Chromium, Complaints, chromium

from cortops.programs.portal.serving import serve

pytestmark = pytest.mark.real
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as running:
        yield running


async def _fits(page: Page) -> bool:
    """No sideways scrolling; asked through the protocol, since the page runs no scripts of its own."""
    session = await page.context.new_cdp_session(page)
    size = await session.send("Page.getLayoutMetrics")
    return bool(size["cssContentSize"]["width"] <= PHONE["width"])


async def _visit(page: Page, url: str, found: Stage) -> None:
    await page.goto(url)
    await expect(page.locator("h1")).to_have_text("Sign in with a key of your organisation")
    await page.get_by_label("Key").fill("ck_lab_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("This key is not valid here")
    await page.get_by_label("Key").fill(found.acme.key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("h1")).to_have_text("1 of 1 keys are valid")
    assert await _fits(page)
    await page.get_by_label("Name").fill("<b>night job</b>")
    await page.get_by_label("model small").check()
    await page.get_by_role("button", name="Make a key").click()
    key = await page.locator("#new-key").inner_text()
    made = found.books.verify(key, now=found.clock.now())
    assert made is not None and made.scopes == ("model:small",)
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("was sent already")
    await page.get_by_role("link", name="Keys", exact=True).click()
    await expect(page.locator("tbody tr", has_text="<b>night job</b>")).to_contain_text(made.id)
    await expect(page.locator("#new-key")).to_have_count(0)
    await page.locator("tbody tr", has_text="night job").get_by_role("button", name="Revoke").click()
    await expect(page.get_by_role("status")).to_contain_text("is revoked")
    await page.get_by_role("link", name="Usage").click()
    await expect(page.locator("svg.bars rect.day")).to_have_count(30)
    await expect(page.locator("h1")).to_have_text("1 request in 30 days")
    assert await _fits(page)
    await page.get_by_role("link", name="Docs").click()
    await expect(page.locator("pre").first).to_contain_text("https://api.lab.example/v1/models")
    assert await _fits(page)
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(f"{url}/portal/usage")
    await expect(page.locator("h1")).to_have_text("Sign in with a key of your organisation")


def test_a_person_does_it_all_on_a_phone_without_scripts(browser: Chromium, tmp_path: Path) -> None:
    found = on_files(tmp_path)
    found.spend(row("1", found.acme, found.clock.now()))

    async def main() -> None:
        context = await browser.browser.new_context(viewport=PHONE, java_script_enabled=False)
        try:
            page = await context.new_page()
            complaints = Complaints().of(page)
            async with serve(found.app, ("127.0.0.1",), 0) as port:
                await _visit(page, f"http://localhost:{port}", found)
                await page.close()
            assert [told for told in complaints.errors if "401" not in told and "409" not in told] == []
        finally:
            await context.close()

    browser.run(main())
    found.books.close()
