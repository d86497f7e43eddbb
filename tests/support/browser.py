"""A real browser: Chromium without a window, steered in a thread of its own, where its event loop is in nobody's way.

`localhost` and `127.0.0.1` are two sites to it, as two domains are.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from playwright.sync_api import Page, sync_playwright

Seen = TypeVar("Seen")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
OPTIONS += ["--disable-sync", "--no-first-run", "--disable-quic", "--no-proxy-server"]


def browse(steps: Callable[[Page], Seen], **options: Any) -> Seen:
    """Run `steps` with a page of a new browser, and return what they return. `options` are those of its context."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("Chromium is not here: install the Debian package chromium.")

    def run() -> Seen:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
            try:
                page = browser.new_page(**options)
                page.set_default_timeout(15_000)
                return steps(page)
            finally:
                browser.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()
