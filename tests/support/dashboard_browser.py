"""How tests look at the dashboard in a real browser: every page is watched for what goes wrong unseen, and judged by
axe-core; at a desktop's and at a phone's width.

A journey reads:

    @at_each_width
    def test_something(site: Server, viewport: Viewport, alice: Actor):
        def steps(page: Page) -> None:
            sign_in(page, alice.user.email)
            page.get_by_role("link", name="API Keys").click()
            look_at(page)

        journey(site, viewport, steps)
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import ConsoleMessage, Page, Request, Response

from tests.support.browser import browse
from tests.support.cast import PASSWORD
from tests.support.launch import Server

Seen = TypeVar("Seen")
Viewport = dict[str, Any]
DESKTOP: Viewport = {"viewport": {"width": 1280, "height": 800}}
PHONE: Viewport = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SCHEMES = ("light", "dark")
# Each page is looked at on both (test_dashboard_tour.py); of the long journeys, each is made on one.
at_each_width = pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
on_a_desktop = pytest.mark.parametrize("viewport", [DESKTOP], ids=["desktop"])
on_a_phone = pytest.mark.parametrize("viewport", [PHONE], ids=["phone"])

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
GRAVE = {"serious", "critical"}
JUDGE = """async (rules) => {
    const passing = document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime < 5000);
    await Promise.allSettled(passing.map((one) => one.finished));  // the operator's pages, Django's, let colours fade
    return axe.run(document, {preload: false, resultTypes: ['violations'], ...(rules && {runOnly: rules})});
}"""  # preload is for one experimental rule alone, and where a style sheet imports another our CSP refuses its way
# Light is judged by all rules, and dark by those that look at colours: no other one sees a difference.
RULES = {"light": None, "dark": ["color-contrast", "link-in-text-block"]}
TELL_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) => console.error(
    `CSP: ${event.violatedDirective} forbids ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`));"""
TRANSFERRED = """() => Object.fromEntries(
    ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
        .map((entry) => [new URL(entry.name).pathname, entry.transferSize]))"""
OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > width + 1);
    return wide.slice(0, 5).map((e) => e.outerHTML.slice(0, 160));
}"""


def journey(
    site: str, viewport: Viewport, steps: Callable[[Page], Seen], refusals: Collection[int] = (), **options: Any
) -> Seen:
    """Return what `steps` return with a watched page of a new browser, where `page.goto("/sign-in")` is the site's."""

    def watched_steps(page: Page) -> Seen:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        with watched(page, refusals):
            return steps(page)

    return browse(watched_steps, base_url=site, **viewport, **options)


@contextmanager
def another_browser(page: Page, site: str, viewport: Viewport, refusals: Collection[int] = ()) -> Iterator[Page]:
    """Yield a watched page of somebody else's browser, which knows nothing of the browser of `page`."""
    assert page.context.browser is not None
    context = page.context.browser.new_context(base_url=site, **viewport)
    try:
        other = context.new_page()
        other.set_default_timeout(15_000)
        with watched(other, refusals):
            yield other
    finally:
        context.close()


@contextmanager
def watched(page: Page, refusals: Collection[int] = ()) -> Iterator[list[str]]:
    """Fail in the end if the page reported an error, a violation of its Content-Security-Policy, a request that failed
    or that left this machine. `refusals` are the statuses of pages that the steps bring about on purpose.
    """
    faults: list[str] = []

    def answered(response: Response) -> None:
        is_page = response.request.is_navigation_request()
        if response.status >= 400 and not (is_page and response.status in refusals):
            faults.append(f"{response.status} {response.request.method} {response.url}")

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # whoever leaves a page cancels what it still loads
            faults.append(f"{request.failure}: {request.method} {request.url}")

    def asked(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.hostname not in ("localhost", "127.0.0.1"):
            faults.append(f"leaves this machine: {request.url}")

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            faults.append(f"console {message.type}: {message.text}")

    page.add_init_script(TELL_VIOLATIONS)
    page.on("response", answered)
    page.on("requestfailed", failed)
    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    yield faults
    assert not faults, "\n".join(faults)


def look_at(page: Page) -> None:
    """Assert that the page as it stands is accessible in both colour schemes and not wider than the screen."""
    page.wait_for_load_state()  # the press before may be on its way to another page
    page.locator("main").wait_for()
    fits(page)
    axe(page)


def axe(page: Page) -> None:
    """Assert that axe-core finds nothing serious on the page, light and dark."""
    found = []
    page.evaluate(AXE)
    for scheme, rules in RULES.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no colour is judged on its way to another
        for rule in page.evaluate(JUDGE, rules)["violations"]:
            if rule["impact"] in GRAVE:
                found += [f"{scheme}: {rule['id']}: {node['html']}\n{node['failureSummary']}" for node in rule["nodes"]]
    page.emulate_media(color_scheme=None, reduced_motion=None)
    assert not found, f"{page.url}\n" + "\n\n".join(found)


def fits(page: Page) -> None:
    """Assert that nobody has to scroll sideways."""
    wide = page.evaluate(OVERFLOW)
    assert not wide, f"{page.url} is wider than the screen:\n" + "\n".join(wide)


def transferred(page: Page) -> dict[str, int]:
    """Return how many bytes each part of the page took on the wire, by path; none where the browser had kept it."""
    sizes: dict[str, int] = page.evaluate(TRANSFERRED)
    return sizes


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Sign in through the form, as a person does."""
    page.goto("/sign-in")
    page.locator("main input[name=email]").fill(email)
    page.keyboard.press("Enter")
    page.locator("main input[name=password]").fill(password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: not urlsplit(url).path.startswith("/sign-in"))


def local(server: Server) -> str:
    """Return the server's address at localhost, where a browser keeps cookies that want https."""
    return server.replace("127.0.0.1", "localhost")


def scan(page: Page) -> str:
    """Return what a telephone would read off the one QR code of the page."""
    photograph = Image.open(BytesIO(page.screenshot(full_page=True)))
    [barcode] = zxingcpp.read_barcodes(photograph)
    return str(barcode.text)
