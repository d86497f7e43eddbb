"""What no page answers (an unknown address, a form that is not ours, a crash), in the shell of whoever is signed in."""

from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from lxml import html

from accounts.models import CredentialUsage
from tests.support.cast import Actor
from tests.support.dashboard_pages import HOST, assert_well_made
from tests.support.pages import signed_in

PLACE = "/settings/api-keys"
UNREAD = {"data": b"x=" + b"y" * (2**20), "content_type": "application/x-www-form-urlencoded"}


def browser(actor: Actor | None) -> Client:
    options: dict[str, Any] = {"HTTP_HOST": HOST, "enforce_csrf_checks": True, "raise_request_exception": False}
    client = signed_in(actor, **options) if actor else Client(**options)
    client.cookies[settings.CSRF_COOKIE_NAME] = "a" * 32
    return client


def places(answer: HttpResponse) -> list[str]:
    """Return where the navigation of a page leads, and the ways to go on from what it says."""
    page = html.document_fromstring(answer.content.decode())
    return [str(path) for path in page.xpath("//nav//a/@href | //main//a/@href")]


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "words", "way_on"),
    [
        ("get", "/nowhere", {}, 404, "The page has moved, or the address is mistyped.", "/"),
        ("post", "/nowhere", {}, 404, "The page has moved, or the address is mistyped.", "/"),
        ("post", f"{PLACE}/new", {}, 403, "This form is too old, or it was not sent from here.", f"{PLACE}/new"),
        ("post", "/geofences/new", UNREAD, 413, "too large", "/geofences/new"),
        ("get", "/operator", {}, 404, "The page has moved, or the address is mistyped.", "/"),
    ],
)
def test_it_stands_in_the_shell_with_a_way_on(
    alice: Actor, method: str, path: str, sent: dict[str, Any], status: int, words: str, way_on: str
):
    answer = getattr(browser(alice), method)(path, **sent)

    assert (answer.status_code, answer["Cache-Control"]) == (status, "no-store") and words in answer.content.decode()
    assert {PLACE, "/geofences", "/settings/profile"} <= {*places(answer)} and places(answer)[-1] == way_on
    assert b'action="/sign-out"' in answer.content and b"alice@acme.test" in answer.content
    assert_well_made(answer)


@pytest.mark.parametrize("path", ["/nowhere", "/operator/nowhere"])
def test_nobody_gets_the_same_words_without_it(db: None, path: str):
    answer = browser(None).get(path, follow=True)

    assert answer.status_code in (200, 404) and places(answer)[-1:] != [PLACE] and b"sign-out" not in answer.content


def test_programs_get_json_whatever_cookie_comes_along(alice: Actor):
    answer = browser(alice).get("/api/v1/nowhere")

    assert answer.json() == {"detail": "There is nothing at this address.", "error_code": "not_found"}


def test_it_counts_and_costs_like_a_page(alice: Actor):
    client = browser(alice)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get("/nowhere")

    assert len(queries) <= 3
    assert CredentialUsage.objects.get(credential_id=client.session["sign_in"][0]).requests == 1
    CredentialUsage.objects.update(requests=10**6)
    assert client.get("/nowhere").status_code == 429


@pytest.mark.parametrize(("broken", "has_shell"), [("apikeys_apikey", True), ("", False)])
def test_a_crash_has_a_shell_where_that_does_not_need_what_is_broken(alice: Actor, broken: str, has_shell: bool):
    def crash(execute: Any, sql: str, *rest: Any) -> Any:
        if broken in sql:
            raise RuntimeError("secret detail")
        return execute(sql, *rest)

    client = browser(alice)
    with connection.execute_wrapper(crash):
        answer = client.get(PLACE)

    text = answer.content.decode()
    assert answer.status_code == 500 and "Something went wrong on our side" in text and "secret detail" not in text
    assert ("/geofences" in places(answer)) == has_shell and places(answer)[-1] == "/"
