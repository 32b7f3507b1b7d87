"""The page in a real browser: it shows everything, follows what changes, and never looks fresh when it is not."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.console.browser import SCREEN, Chromium, Complaints, chromium, screenshot
from tests.console.console_rig import ROUTER_DOWN, ScriptedView, Told, example, path, picture

from cortops.console.app import console
from cortops.console.serving import serve
from cortops.console.view import TaskLine
from cortops.words.clock import SystemClock
from cortops.words.entity import Entity
from cortops.words.state import State

pytestmark = pytest.mark.real

ENV = example()
SLOW_S = 60.0  # a round that long does not go stale while a test looks
QUICK_S = 0.3  # a round that goes stale in a second
XSS = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'


def shot(told: Told | None = None, every_s: float = SLOW_S) -> Any:
    """A picture of now."""
    now = time.time()
    return picture(ENV, told, at=now, every_s=every_s, since=now - 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A page that looks at a console."""

    page: Page
    view: ScriptedView
    url: str
    complaints: Complaints


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as running:
        yield running


@asynccontextmanager
async def looking(browser: Chromium, view: ScriptedView, where: str = "/", **options: Any) -> AsyncIterator[Stage]:
    """A console on a free port, and a page that has loaded `where`."""
    context = await browser.browser.new_context(viewport=options.pop("viewport", SCREEN), **options)
    page = await context.new_page()
    complaints = Complaints().of(page)
    try:
        async with serve(console(view, SystemClock()), "127.0.0.1", 0) as port:
            url = f"http://127.0.0.1:{port}"
            await page.goto(url + where)
            yield Stage(page=page, view=view, url=url, complaints=complaints)
            await page.close()
    finally:
        await context.close()


@asynccontextmanager
async def rounds(view: ScriptedView, told: Told | None = None) -> AsyncIterator[None]:
    """Rounds that end every so often, while inside, and find what is told."""

    async def go_on() -> None:
        while True:
            view.show(shot(told))
            await asyncio.sleep(0.3)

    going = asyncio.ensure_future(go_on())
    try:
        yield
    finally:
        going.cancel()
        await asyncio.wait({going})


def mark(page: Page, entity: str) -> Any:
    """The mark of an entity in the drawing for wide screens."""
    return page.locator(f'svg.wide [data-entity="{entity}"] .mark')


async def colour(page: Page, entity: str) -> str:
    return str(await mark(page, entity).evaluate("node => getComputedStyle(node).fill"))


def test_it_shows_every_entity_and_complains_of_nothing(browser: Chromium) -> None:
    async def main() -> None:
        view = ScriptedView(ENV, shot())
        view.newest = (TaskLine(session=1, task=7, state="ended", at=time.time()),)
        view.paths[1, 7] = path()
        async with looking(browser, view) as stage:
            page = stage.page
            await expect(page.locator("h1")).to_contain_text("All 34 are ok since")
            for item in view.picture().entities:  # type: ignore[union-attr]
                await expect(page.locator(f'svg.wide a[data-entity="{item.entity}"]')).to_be_visible()
            await expect(page.locator("svg.tall")).to_be_hidden()
            await page.locator('svg.wide a[data-entity="router/router-1"]').click()
            await expect(page.locator("h1")).to_have_text("router/router-1")
            await page.goto(stage.url)
            await page.locator("a", has_text="1/7").click()
            await expect(page.locator("tbody th")).to_have_count(7)
            assert stage.complaints.errors == []

    browser.run(main())


def test_a_change_arrives_without_a_reload(browser: Chromium) -> None:
    async def main() -> None:
        async with looking(browser, ScriptedView(ENV, shot())) as stage:
            page = stage.page
            await page.evaluate("window.same = true")
            stage.view.newest = (TaskLine(session=2, task=1, state="submitted", at=time.time() - 4),)
            async with rounds(stage.view, ROUTER_DOWN):
                await expect(page.locator("h1")).to_contain_text("router/router-1 is down since")
                await expect(page.locator("h1 .mark")).to_have_text("■")
                await expect(mark(page, "router/router-1")).to_have_text("■")
                await expect(page.locator('svg.wide [data-box="router"] .summary')).to_have_text("1 of 2 down")
                rows = page.locator("#worst-table tbody tr")
                await expect(rows).to_have_count(2)
                await expect(rows.first).to_contain_text("router/router-1")
                await expect(rows.first.locator(".age")).to_have_text("1 min")
                await expect(page.locator("#tasks-table tbody tr")).to_have_text(re.compile(r"2/1submitted.* UTC \d+ s"))
            stage.view.show(shot())
            await expect(page.locator("#all-well")).to_be_visible()
            await expect(mark(page, "router/router-1")).to_have_text("●")
            assert await page.evaluate("window.same") and stage.complaints.errors == []

    browser.run(main())


def test_a_stopped_console_is_seen_and_a_new_one_too(browser: Chromium) -> None:
    async def main() -> None:
        view = ScriptedView(ENV, shot())
        page = await browser.browser.new_page(viewport=SCREEN)
        async with serve(console(view, SystemClock()), "127.0.0.1", 0) as port:
            await page.goto(f"http://127.0.0.1:{port}/")
            await expect(page.locator("#stale")).to_be_hidden()
            fresh = await colour(page, "miner/miner-1")
        await expect(page.locator("#stale")).to_contain_text(re.compile(r"stale since \d\d:\d\d:\d\d UTC: the console does not answer"))
        assert await colour(page, "miner/miner-1") not in {fresh, ""}
        view.show(shot(ROUTER_DOWN))
        async with serve(console(view, SystemClock()), "127.0.0.1", port):
            await expect(page.locator("#stale")).to_be_hidden(timeout=15_000)
            await expect(page.locator("h1")).to_contain_text("router/router-1 is down since")
            assert await colour(page, "miner/miner-1") == fresh
            await page.close()

    browser.run(main())


def test_rounds_that_stop_are_seen_though_the_console_answers(browser: Chromium) -> None:
    async def main() -> None:
        async with looking(browser, ScriptedView(ENV, shot(every_s=QUICK_S))) as stage:
            banner = stage.page.locator("#stale")
            await expect(banner).to_contain_text(re.compile(r"stale since \d\d:\d\d:\d\d UTC: no round of questions has ended since"))
            await expect(stage.page.locator('#nodes ~ .scroll [data-entity="miner/miner-1"] .word')).to_have_css("color", "rgb(27, 33, 38)")
            stage.view.show(shot())
            await expect(banner).to_be_hidden()

    browser.run(main())


def test_a_page_that_comes_old_says_so_at_once(browser: Chromium) -> None:
    async def main() -> None:
        old = replace(shot(every_s=QUICK_S), at=time.time() - 600)
        async with looking(browser, ScriptedView(ENV, old), java_script_enabled=False) as stage:
            await expect(stage.page.locator("#stale")).to_be_visible()
            assert await stage.page.locator("noscript meta[http-equiv=refresh]").count() == 1

    browser.run(main())


def test_a_page_from_before_the_first_round_fills_itself(browser: Chromium) -> None:
    async def main() -> None:
        async with looking(browser, ScriptedView(ENV)) as stage:
            await expect(stage.page.locator("h1")).to_contain_text("Nothing has been asked yet")
            await expect(mark(stage.page, "miner/miner-1")).to_have_text("◌")
            stage.view.show(shot())
            await expect(stage.page.locator("h1")).to_contain_text("All 34 are ok")
            await expect(mark(stage.page, "miner/miner-1")).to_have_text("●")
            assert stage.complaints.errors == []

    browser.run(main())


def test_texts_of_others_do_nothing(browser: Chromium) -> None:
    async def main() -> None:
        view = ScriptedView(ENV, shot({"router/router-1": (State.DOWN, XSS)}))
        async with looking(browser, view) as stage:
            await expect(stage.page.locator("h1")).to_contain_text("<script>")
            other = shot({"router/router-1": (State.DEGRADED, XSS + "again")})
            named = tuple(replace(item, entity=Entity("miner", XSS)) if item.entity.name == "miner-3" else item for item in other.entities)
            view.show(other)
            await expect(stage.page.locator("#worst-table tbody")).to_contain_text("again")
            view.show(replace(other, entities=(*other.entities, *named)))  # another layout: the page loads itself again
            await expect(stage.page.locator('svg.wide [data-box="miner"]')).to_contain_text("<img")
            assert await stage.page.evaluate("window.hurt") is None
            assert await stage.page.locator("main img").count() == 0
            assert stage.complaints.errors == []

    browser.run(main())


@pytest.mark.parametrize("where", ["/", "/entities/router/router-1", "/tasks/1/7", "/nowhere"])
def test_a_phone_does_not_scroll_sideways(browser: Chromium, where: str) -> None:
    async def main() -> None:
        view = ScriptedView(ENV, shot({**ROUTER_DOWN, "miner/miner-1": (State.UNKNOWN, "x" * 300)}))
        view.paths[1, 7] = path()
        async with looking(browser, view, where, viewport={"width": 390, "height": 844}) as stage:
            assert await stage.page.evaluate("document.documentElement.scrollWidth") <= 390
            if where == "/":
                await expect(stage.page.locator("svg.tall")).to_be_visible()
                await expect(stage.page.locator("svg.wide")).to_be_hidden()

    browser.run(main())


def test_a_keyboard_reaches_what_changes_and_stays_there(browser: Chromium) -> None:
    async def main() -> None:
        async with looking(browser, ScriptedView(ENV, shot(ROUTER_DOWN))) as stage:
            link = stage.page.locator("#worst-table a", has_text="pool/smollm2")
            await link.focus()
            stage.view.show(shot({**ROUTER_DOWN, "miner/miner-1": (State.DOWN, "exited")}))
            await expect(stage.page.locator("#worst-table tbody tr")).to_have_count(3)
            await expect(link).to_be_focused()

    browser.run(main())


def test_a_screenshot_is_of_the_whole_page(browser: Chromium, tmp_path: Path) -> None:
    async def main() -> None:
        async with looking(browser, ScriptedView(ENV, shot()), color_scheme="dark") as stage:
            await screenshot(stage.page, tmp_path / "console.png")

    browser.run(main())
    assert (tmp_path / "console.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
