"""Chromium for tests: the Debian package, driven by playwright, in one event loop with the console that it looks at."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.async_api import Browser, Page, async_playwright

T = TypeVar("T")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREEN = {"width": 1400, "height": 900}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chromium:
    """One running browser. `run` runs a test's coroutine in the loop that the browser lives in."""

    browser: Browser
    run: Callable[[Coroutine[Any, Any, T]], T]


@dataclass(slots=True, kw_only=True)
class Complaints:
    """What a page wrote to the browser's console as an error, and what its script did not catch."""

    errors: list[str] = field(default_factory=list)

    def of(self, page: Page) -> Complaints:
        """Listen to a page."""
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return self


@contextmanager
def chromium() -> Iterator[Chromium]:
    """A browser while inside; skips the test where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs the Debian package chromium")
    with asyncio.Runner() as runner:
        driver = runner.run(async_playwright().start())
        try:
            browser = runner.run(driver.chromium.launch(executable_path=program, args=FLAGS))
            yield Chromium(browser=browser, run=runner.run)
            runner.run(browser.close())
        finally:
            runner.run(driver.stop())


async def screenshot(page: Page, path: Path, *, width: int = SCREEN["width"], height: int = SCREEN["height"]) -> None:
    """The whole page as a PNG, `width` CSS pixels wide, without the marks of what changed just now."""
    await page.set_viewport_size({"width": width, "height": height})
    await page.emulate_media(reduced_motion="reduce")
    await page.screenshot(path=path, full_page=True)
