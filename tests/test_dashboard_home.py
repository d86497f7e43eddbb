"""The first page that somebody sees; and that the watch over every page notices what goes wrong."""

import pytest
from django.test import Client
from playwright.sync_api import Page, Route

from dashboard.views.documentation import DOCUMENTS
from tests.support.dashboard_browser import DESKTOP, Viewport, at_each_width, axe, fits, journey, look_at
from tests.support.dashboard_pages import HOST

pytest_plugins = ["tests.support.dashboard_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

POLICY = {"Content-Type": "text/html", "Content-Security-Policy": "default-src 'none'"}
FAULTS = {
    "a violated policy": ("<p style='color: red'>inline", "Content Security Policy"),
    "a script of elsewhere": ("<script src='https://cdn.example.com/x.js'></script>", "leaves this machine"),
}


@at_each_width
def test_whoever_just_started_is_told_where_to_begin(site: str, viewport: Viewport):
    def steps(page: Page) -> None:
        page.goto("/")
        look_at(page)
        assert page.get_by_role("button", name="Sign in").is_visible()
        assert page.get_by_text("make run").first.is_visible()
        page.get_by_role("link", name="a first call for each way").click()
        look_at(page)
        assert page.get_by_text("## A first call for each way to sign in").is_visible()
        page.go_back()
        page.get_by_role("link", name="API reference").click()
        page.wait_for_url("**/api/v1/docs")

    journey(site, viewport, steps)


@pytest.mark.parametrize(("body", "fault"), FAULTS.values(), ids=FAULTS)
def test_the_watch_notices(site: str, body: str, fault: str):
    def steps(page: Page) -> None:
        page.route("**/made-up", lambda route: answer(route, body))
        page.goto("/made-up")

    with pytest.raises(AssertionError, match=fault):
        journey(site, DESKTOP, steps)


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("() => { setTimeout(() => { throw Error('broken') }); }", "script error"),
        ("() => console.error('wrong')", "console error: wrong"),
        ("() => fetch('/nowhere').then(() => 1)", "404 GET"),
    ],
)
def test_the_watch_notices_errors_of_scripts(site: str, script: str, fault: str):
    def steps(page: Page) -> None:
        page.goto("/")
        page.evaluate(script)
        page.wait_for_timeout(50)

    with pytest.raises(AssertionError, match=fault):
        journey(site, DESKTOP, steps)


def test_a_page_that_refuses_counts_where_it_is_not_expected(site: str):
    def steps(page: Page) -> None:
        page.goto("/nowhere")

    journey(site, DESKTOP, steps, refusals={404})
    with pytest.raises(AssertionError, match="404 GET"):
        journey(site, DESKTOP, steps)


def test_what_nobody_could_read_or_reach_is_noticed(site: str):
    def steps(page: Page) -> None:
        page.route("**/made-up", lambda route: answer(route, UNREADABLE))
        page.goto("/made-up")
        with pytest.raises(AssertionError, match="color-contrast"):
            axe(page)
        with pytest.raises(AssertionError, match="wider than the screen"):
            fits(page)

    journey(site, DESKTOP, steps)


UNREADABLE = "<html lang=en><title>x</title><p><font color=#ddd>pale</font><table width=3000><td>wide"


def answer(route: Route, body: str) -> None:
    is_policed = "style=" in body
    route.fulfill(body=body, headers=POLICY if is_policed else {"Content-Type": "text/html"})


def test_only_documents_are_shown_as_documentation():
    client = Client(HTTP_HOST=HOST)

    assert [client.get(f"/documentation/{name}").status_code for name in DOCUMENTS] == [200] * len(DOCUMENTS)
    for name in ("README.md", "manage.py", "..", "%2e%2e%2fmanage.py"):
        assert client.get(f"/documentation/{name}").status_code == 404, name
