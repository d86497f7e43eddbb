"""Every page of the dashboard: who sees it, what it is made of, what it costs, and where its links lead."""

import time
from collections.abc import Iterator
from statistics import median
from urllib.parse import urlsplit

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from lxml import html

from tests.support.cast import Actor
from tests.support.dashboard_pages import HOST, PAGES, assert_well_made, fill, invitation, route_names, visitor
from tests.support.fences import store_row
from tests.support.pages import age_session, signed_in
from tests.support.sso_history import connected
from tests.support.urls import page_patterns

QUERIES = 6  # that a page may cost: who is there, what they have used, and what it shows
ELSEWHERE = {"/api/v1/docs", "/api/v1/openapi.json"}  # linked, and no page of the dashboard

# Pages that no link leads to from where the crawl begins, and how one comes there.
BY_MAIL = {"/accept-invite", "/confirm-email-change", "/reset-password", "/sso-recovery", "/verify-email"}
BY_FORM = {
    "/confirm",
    "/confirm/done",
    "/forgot-password",
    "/forgot-password/sent",
    "/sign-in/code",
    "/sign-in/password",
    "/sign-in/sso/<str:slug>",
    "/sign-up/sent",
    "/sso-recovery/sent",
}
BY_STATE = {
    "/geofences/<str:geofence_id>/restore": "where a fence is deleted",
    "/geofences/<str:geofence_id>/unarchive": "where a fence is archived",
    "/settings/api-keys/<str:key_id>/enable": "where a key is disabled",
    "/settings/api-keys/<str:key_id>/narrow": "where a key has not needed what it holds",
    "/settings/security/accounts/<str:provider>/disconnect": "where an account at a provider is connected",
    "/settings/security/recovery-codes": "where a second factor is set up",
    "/settings/security/second-factor/confirm": "where one is being set up",
    "/settings/sso/enable": "where the connection is switched off",
    "/settings/sso/lift": "where single sign-on is required",
    "/settings/sign-ins/end-others": "where there are others",
    "/settings/security/second-factor/remove": "where a second factor is set up",
}


def test_every_page_is_known_here():
    assert route_names() == PAGES.keys()


@pytest.mark.parametrize("route", PAGES)
def test_a_page_answers_each_as_it_should(route: str, alice: Actor, carol: Actor):
    path, expected = fill(route, alice), PAGES[route]

    answers = {
        "anyone": visitor(route, None, alice).get(path),
        "member": visitor(route, carol, alice).get(fill(route, carol)),
        "owner": visitor(route, alice, alice).get(path),
    }

    assert {who: answer.status_code for who, answer in answers.items()} == {
        who: getattr(expected, who) for who in answers
    }
    for answer in answers.values():
        assert answer["Cache-Control"] == "no-store"
        if answer.status_code in (200, 403):
            assert_well_made(answer)
    if not resolve(path).func.view_class.is_public:
        assert urlsplit(answers["anyone"]["Location"]).path == "/sign-in"


@pytest.mark.parametrize("route", PAGES)
def test_a_page_costs_few_queries(route: str, alice: Actor):
    client, path = visitor(route, alice, alice), fill(route, alice)
    client.get(path)
    times = []
    for _ in range(5):
        with (
            CaptureQueriesContext(connections["default"]) as reads,
            CaptureQueriesContext(connections["counters"]) as counts,
        ):
            began = time.perf_counter()
            answer = client.get(path)
            times.append(1000 * (time.perf_counter() - began))
    queries = [query["sql"] for query in (*reads.captured_queries, *counts.captured_queries)]
    queries = [sql for sql in queries if "SAVEPOINT" not in sql]

    print(f"{route}: {len(queries)} queries, {median(times):.1f} ms, {len(answer.content)} bytes")
    assert len(queries) <= QUERIES, queries


def links(answer_content: bytes) -> Iterator[str]:
    """Yield the addresses of ours that a page links to, and those that its forms ask with GET."""
    page = html.document_fromstring(answer_content.decode())
    for target in page.xpath("//a/@href | //form[translate(@method, 'GET', 'get')='get']/@action"):
        assert not target.startswith("http:"), target
        if target.startswith("/"):
            yield target.split("#")[0]
        elif target.startswith("#"):
            assert page.xpath(f"//*[@id='{target[1:]}']") or target == "#", target


def crawl(client: Client, start: str) -> dict[str, int]:
    """Return the status of every address that links lead to."""
    seen: dict[str, int] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        answer = client.get(path)
        seen[path] = answer.status_code
        if answer.status_code == 302 and answer["Location"].startswith("/"):
            waiting.append(answer["Location"])
        elif answer.status_code == 200 and urlsplit(path).path not in ELSEWHERE:
            waiting += links(answer.content)
    return seen


def test_links_lead_somewhere_and_everywhere(alice: Actor, bob: Actor):
    alice.make_key(name="CI")
    invitation(alice)
    connected(alice)
    store_row(alice, "Yard")

    seen = crawl(signed_in(alice, HTTP_HOST=HOST), "/") | crawl(Client(HTTP_HOST=HOST), "/")

    assert {path: status for path, status in seen.items() if status not in (200, 302)} == {}
    paths = {urlsplit(path).path for path in seen}
    reached = {route for route, pattern in page_patterns() if any(pattern.resolve(path[1:]) for path in paths)}
    shown = {route for route, answers in PAGES.items() if 200 in (answers.owner, answers.anyone)}
    print(f"{len(seen)} addresses are linked.")
    assert shown - reached == BY_MAIL | BY_FORM | BY_STATE.keys()


def test_no_page_shows_a_credential(alice: Actor):
    _, key = alice.make_key(name="CI")
    secrets = [key, alice.pair.access_token, alice.pair.refresh_token, *alice.pair.access_token.split(".")[1:]]

    for route in PAGES:
        client = visitor(route, alice, alice)
        text = client.get(fill(route, alice)).content.decode()
        assert not [secret for secret in secrets if secret in text], route


def test_what_is_not_there_is_a_page_too(alice: Actor):
    for client in (Client(HTTP_HOST=HOST), signed_in(alice, HTTP_HOST=HOST)):
        answer = client.get("/nowhere")
        assert answer.status_code == 404
        assert_well_made(answer)


def test_cookies_are_of_this_host_alone(alice: Actor):
    client = signed_in(alice, HTTP_HOST=HOST)
    age_session(client, 0)
    set_by = [Client(HTTP_HOST=HOST).get("/"), client.get("/confirm")]

    for answer in set_by:
        for name, cookie in answer.cookies.items():
            assert name.startswith("__Host-") and cookie["secure"] and cookie["httponly"], name
            assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", ""), name
