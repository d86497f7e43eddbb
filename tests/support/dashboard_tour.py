"""A way through every page of the dashboard in a browser, as it looks to the owner of a workspace with some history."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from playwright.sync_api import Page

from tests.support.cast import Actor
from tests.support.dashboard_pages import PAGES, fill, visitor

LOST = "/nowhere"
Stop = tuple[str, str, str]  # what it is called, where it is, and the session that it is seen with


def plan(actor: Actor) -> list[Stop]:
    """Return every page that shows something: first what one sees before one is signed in."""
    first, rest = [], []
    for route, answers in PAGES.items():
        who, stops = (None, first) if answers.anyone == 200 else (actor, rest)
        if 200 in (answers.anyone, answers.owner):
            session = visitor(route, who, actor).cookies[settings.SESSION_COOKIE_NAME].value
            stops.append((name_of(route), fill(route, actor), session))
    signed_in = rest[-1][2]
    return [*first, ("not-found", LOST, ""), ("not-found-signed-in", LOST, signed_in), *rest]


def name_of(route: str) -> str:
    parts = [part for part in route.strip("/").split("/") if "<" not in part]
    return "-".join(parts + ["one"] * ("<" in route)) or "home"


def tour(page: Page, site: str, stops: list[Stop], look: Callable[[str], None]) -> None:
    """Go to each page and look at it. Fails where a page is not there."""
    for name, path, session in stops:
        page.context.clear_cookies()
        if session:
            cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": site, "secure": True}
            page.context.add_cookies([{**cookie, "url": site.replace("http:", "https:")}])
        answer = page.goto(path)
        arrived = urlsplit(page.url).path
        assert answer and answer.status == (404 if path == LOST else 200), f"{path}: {answer}"
        assert arrived == urlsplit(path).path, f"{path} leads to {arrived}"
        look(name)
