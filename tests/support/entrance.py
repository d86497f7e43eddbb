"""Coming in by the dashboard, for tests without a browser: the steps of the sign-in, as its pages are filled in."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.test import Client

from tests.support.cast import PASSWORD
from tests.support.pages import Tab


def visitor(**options: Any) -> Client:
    """Return somebody's browser at PUBLIC_URL's host."""
    return Tab(SERVER_NAME="localhost", **options)


def enter_password(browser: Client, email: str, password: str = PASSWORD) -> Any:
    """Go from the email address to the answer to the password."""
    assert browser.post("/sign-in", {"email": email})["Location"] == "/sign-in/password"
    return browser.post("/sign-in/password", {"password": password})


def open_link(browser: Client, link: str) -> Any:
    """Open a mailed link; its secret must be out of the address at once."""
    parts = urlsplit(link)
    answer = browser.get(parts.path, dict(parse_qsl(parts.query)))
    assert (answer.status_code, answer["Location"]) == (302, parts.path), answer.content
    return browser.get(parts.path)


def link_in(text: str) -> str:
    """Return the first link of a mail."""
    found = re.search(r"https?://\S+", text)
    assert found is not None
    return found.group()


def is_signed_in(browser: Client) -> bool:
    return bool(browser.get("/settings/sign-ins").status_code == 200)


def without_tokens(content: bytes) -> bytes:
    """Return a page without what is another with each answer: the tokens of its forms."""
    return re.sub(rb'name="csrfmiddlewaretoken" value="\w+"', b"", content)
