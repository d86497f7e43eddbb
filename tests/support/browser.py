"""A real browser: Chromium without a window, steered in a thread of its own, where its event loop is in nobody's way.

One browser serves all tests of a process, for its start costs more than most tests do in it. Each test has a context of
its own, which knows nothing of the others: no cookies, no storage, nothing cached. `localhost` and `127.0.0.1` are two
sites to it, as two domains are.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connections
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

Seen = TypeVar("Seen")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
OPTIONS += ["--disable-sync", "--no-first-run", "--disable-quic", "--no-proxy-server"]


class Steered:
    """The browser of this process and the thread that steers it, which start when they are needed first."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    def run(self, steps: Callable[[Page], Seen], options: dict[str, Any]) -> Seen:
        return self._thread.submit(self._in_new_context, steps, options).result()

    def end(self) -> None:
        self._thread.submit(self._end).result()
        self._thread.shutdown()

    def _in_new_context(self, steps: Callable[[Page], Seen], options: dict[str, Any]) -> Seen:
        context = self._started().new_context(**options)
        try:
            page = context.new_page()
            page.set_default_timeout(15_000)
            return steps(page)
        finally:
            context.close()
            connections.close_all()  # this thread outlives the test, and its database must not be in use then

    def _started(self) -> Browser:
        if self._playwright is None:
            self._playwright = sync_playwright().start()
        if self._browser is None or not self._browser.is_connected():  # a test may have crashed it
            self._browser = self._playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        return self._browser

    def _end(self) -> None:
        if self._browser is not None:
            self._browser.close()
        if self._playwright is not None:
            self._playwright.stop()


steered = Steered()


def browse(steps: Callable[[Page], Seen], **options: Any) -> Seen:
    """Run `steps` with a page of a browser that has seen nothing yet, and return what they return. `options` are those
    of its context.
    """
    return steered.run(steps, options)


def chromium() -> str:
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("Chromium is not here: install the Debian package chromium.")
    return program
