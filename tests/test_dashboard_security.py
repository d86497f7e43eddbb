"""What an attacker tries on pages: forms of other sites, stolen and prepared sessions, addresses that lead away, text
that wants to be markup, and what no form of ours would send.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from lxml import html
from rest_framework.test import APIClient

from accounts.models import CredentialUsage, Membership, SignIn, User, Workspace
from accounts.principal import Client as Caller
from accounts.tokens import issue
from tests.support.cast import PASSWORD, Actor
from tests.support.dashboard_pages import HOST, PAGES, fill, visitor
from tests.support.pages import keep, signed_in
from tests.support.urls import page_patterns

HOUR_AGO = timezone.now() - timedelta(hours=1)
PROFILE = "/settings/profile"
TOKEN = "a" * 32
FOREIGN = {
    "no token": ({}, {}),
    "another token": ({"csrfmiddlewaretoken": "b" * 32}, {}),
    "from another origin": ({"csrfmiddlewaretoken": TOKEN}, {"Origin": "https://evil.example"}),
    "from our name with another port": ({"csrfmiddlewaretoken": TOKEN}, {"Origin": "http://localhost:81"}),
    "from nowhere": ({"csrfmiddlewaretoken": TOKEN}, {"Origin": "null"}),
    "from another site": ({"csrfmiddlewaretoken": TOKEN}, {"Sec-Fetch-Site": "cross-site"}),
    "from a subdomain": ({"csrfmiddlewaretoken": TOKEN}, {"Sec-Fetch-Site": "same-site"}),
}
TOO_OLD = "This form is too old, or it was not sent from here."

POSTS = [
    route
    for route, pattern in page_patterns()
    if hasattr(pattern.callback.view_class, "post") and "post" in pattern.callback.view_class.http_method_names
]


def strict(actor: Actor | None) -> Client:
    """Return a browser of the actor's, or nobody's, whose forms are checked as they are for users."""
    options = {"enforce_csrf_checks": True, "HTTP_HOST": HOST}
    client = signed_in(actor, **options) if actor else Client(**options)
    client.cookies[settings.CSRF_COOKIE_NAME] = TOKEN
    return client


# --- Forms of other sites


@pytest.mark.parametrize("route", POSTS)
def test_a_form_must_be_ours(route: str, alice: Actor):
    path = fill(route, alice)
    for case, (fields, headers) in FOREIGN.items():
        answer = strict(alice).post(path, fields, headers=headers)
        assert (answer.status_code, TOO_OLD in answer.content.decode()) == (403, True), case

    own = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}
    answer = strict(alice).post(path, {"csrfmiddlewaretoken": TOKEN}, headers=own)
    assert TOO_OLD not in answer.content.decode() and answer.status_code < 500


def test_there_are_forms_to_try():
    assert len(POSTS) > 10


# --- Sessions


def test_a_copy_of_the_cookie_is_dead_after_signing_out(alice: Actor):
    client = signed_in(alice, HTTP_HOST=HOST)
    stolen = Client(HTTP_HOST=HOST)
    stolen.cookies[settings.SESSION_COOKIE_NAME] = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert stolen.get(PROFILE).status_code == 200

    answer = client.post("/sign-out")

    assert answer.status_code in (302, 303)
    assert client.get(PROFILE).status_code == stolen.get(PROFILE).status_code == 302
    assert SignIn.objects.get(id=alice.sign_in_id).revoked_at is not None


def removed(alice: Actor, bob: Actor) -> None:
    assert alice.client.delete(f"/api/v1/workspaces/members/{bob.user.id}").status_code == 204


def with_another_password(alice: Actor, bob: Actor) -> None:
    body = {"current_password": PASSWORD, "new_password": "another battery horse staple"}
    other = issue(bob.membership, "password", Caller("192.0.2.9", "another device"))
    client = APIClient(headers={"Authorization": f"Bearer {other.access_token}"})
    assert client.post("/api/v1/auth/change-password", body, format="json").status_code == 200


ENDINGS: dict[str, Callable[[Actor, Actor], object]] = {
    "removed": removed,
    "with another password": with_another_password,
    "deactivated": lambda alice, bob: User.objects.filter(id=bob.user.id).update(is_active=False),
    "suspended": lambda alice, bob: Workspace.objects.filter(id=alice.workspace.id).update(suspended_at=timezone.now()),
    "signed out elsewhere": lambda alice, bob: bob.client.post("/api/v1/auth/logout"),
    "expired": lambda alice, bob: SignIn.objects.filter(id=bob.sign_in_id).update(expires_at=HOUR_AGO),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_what_ends_a_sign_in_ends_its_session_at_the_next_page(
    end: Callable[[Actor, Actor], object], alice: Actor, bob: Actor
):
    page = signed_in(bob, HTTP_HOST=HOST)
    assert page.get(PROFILE).status_code == 200

    end(alice, bob)

    answer = page.get(PROFILE)
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in?next=%2Fsettings%2Fprofile")


def test_a_lower_role_counts_at_the_next_page(alice: Actor, mallory: Actor):
    Membership.objects.create(user=mallory.user, workspace=alice.workspace, role="owner")
    page = signed_in(alice, HTTP_HOST=HOST)
    assert "All of the workspace" in page.get("/settings/api-keys").content.decode()

    Membership.objects.filter(user=alice.user).update(role="member")

    assert "All of the workspace" not in page.get("/settings/api-keys").content.decode()


@pytest.mark.parametrize(
    ("name", "age"),
    [("seen_at", settings.DASHBOARD_IDLE_LIFETIME), ("began_at", settings.DASHBOARD_LIFETIME)],
)
def test_a_session_ends_by_itself(name: str, age: int, alice: Actor):
    page = signed_in(alice, HTTP_HOST=HOST)
    kept = page.session
    kept[name] = int(time.time()) - age + 30
    keep(page, kept)
    assert page.get(PROFILE).status_code == 200

    kept = page.session
    kept[name] = int(time.time()) - age - 1
    keep(page, kept)

    assert page.get(PROFILE).status_code == 302


@pytest.mark.parametrize("hours", [13, -13])
def test_a_host_whose_clock_is_wrong_neither_ends_a_session_nor_lets_it_go_on(
    hours: int, alice: Actor, monkeypatch: pytest.MonkeyPatch
):
    page = signed_in(alice, HTTP_HOST=HOST)
    here = time.time()
    monkeypatch.setattr(time, "time", lambda: here + hours * 3600)

    assert page.get(PROFILE).status_code == 200
    kept = page.session
    kept["seen_at"] = int(here) - settings.DASHBOARD_IDLE_LIFETIME - 1
    keep(page, kept)
    assert page.get(PROFILE).status_code == 302


@pytest.mark.parametrize("cookie", ["", "x", "a:b:c", "é", "\u0001", "e30:1t:" + "A" * 43, "." * 3000])
def test_a_made_up_session_is_nobody(cookie: str, db: None):
    client = Client(HTTP_HOST=HOST)
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie

    assert client.get(PROFILE).status_code == 302


def test_nothing_of_a_prepared_session_outlives_the_sign_in(alice: Actor, mallory: Actor):
    """Session fixation: whoever set the victim's cookies knows neither the session nor the form token afterwards."""
    client = signed_in(mallory, HTTP_HOST=HOST)
    client.cookies[settings.CSRF_COOKIE_NAME] = TOKEN
    client.post("/sign-out")
    prepared = client.session
    prepared.update({"planted": "by somebody", "proven_at": int(time.time())})
    keep(client, prepared)
    client.post("/sign-in", {"email": alice.user.email})

    answer = client.post("/sign-in/password", {"password": PASSWORD})

    assert answer.status_code == 302
    assert "planted" not in client.session and client.session["sign_in"][1] == str(alice.user.id)
    assert answer.cookies[settings.CSRF_COOKIE_NAME].value != TOKEN
    old = Client(HTTP_HOST=HOST)
    keep(old, prepared)
    assert old.get(PROFILE).status_code == 302


def test_many_links_leave_room_for_a_sign_in(alice: Actor):
    """A browser drops a cookie of more than 4,096 bytes: whoever lures people to many links would lock them out."""
    client = Client(HTTP_HOST=HOST)
    luring = {
        name: "".join(chr(0x4E00 + secrets.randbelow(20_000)) for _ in range(500)) for name in ("token", "invite_id")
    }
    for path in ("/reset-password", "/verify-email", "/confirm-email-change", "/sso-recovery", "/accept-invite"):
        client.get(path, luring)
    client.get("/sign-in", {"next": "/settings/profile?" + "a" * 400})

    answer = client.post("/sign-in", {"email": alice.user.email})

    assert max(len(cookie.OutputString()) for cookie in answer.cookies.values()) < 4096


# --- One way in is no other


def test_pages_and_api_share_no_credential(alice: Actor):
    page = signed_in(alice, HTTP_HOST=HOST)
    by_token = Client(headers={"Authorization": f"Bearer {alice.pair.access_token}"})
    by_key = Client(headers={"X-API-KEY": alice.make_key()[1]})
    by_refresh_cookie = Client(HTTP_HOST=HOST)
    login = by_refresh_cookie.post(
        "/api/v1/auth/login", {"email": alice.user.email, "password": PASSWORD}, content_type="application/json"
    )

    assert login.status_code == 200 and by_refresh_cookie.cookies
    assert page.get("/api/v1/account/me").status_code == 401
    assert page.post("/api/v1/account/api-keys", {"name": "x"}, content_type="application/json").status_code == 401
    assert [client.get(PROFILE).status_code for client in (by_token, by_key, by_refresh_cookie)] == [302, 302, 302]


def test_the_api_sets_and_reads_no_cookie_of_pages(alice: Actor):
    answer = signed_in(alice, HTTP_HOST=HOST).get("/api/v1/health")

    assert not answer.cookies and "Cookie" not in answer.get("Vary", "")


# --- Addresses that lead away

AWAY = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%5cevil.example/..;//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "http:evil.example",
    "https:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "@evil.example",
    ".evil.example",
    "/a//evil.example",
    "/\u2044/evil.example",
    "/\x00/evil.example",
    f"http://{HOST}@evil.example/",
    "http://localhost.evil.example/",
    "/api/v1/auth/oauth/google/authorize",
    "/settings/profile\r\nSet-Cookie: a=b",
]


@pytest.mark.parametrize("text", AWAY)
def test_nobody_is_led_away_by_next(text: str, alice: Actor):
    answer = signed_in(alice, HTTP_HOST=HOST).get("/confirm", {"next": text})

    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert "evil" not in strict(None).get("/sign-in", {"next": text}).content.decode()


@pytest.mark.parametrize("text", ["/settings/profile", "/settings/api-keys?mine=1", "/workspaces"])
def test_next_leads_to_pages_of_ours(text: str, alice: Actor):
    assert signed_in(alice, HTTP_HOST=HOST).get("/confirm", {"next": text})["Location"] == text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost:80@evil.example"])
def test_a_foreign_host_is_refused(host: str, db: None):
    answer = Client(HTTP_HOST=host).get("/")

    assert answer.status_code == 400 and "evil" not in answer.content.decode()


# --- Text that wants to be markup


def hostile(place: str) -> str:
    return f"<script>alert('{place}')</script><img src=x onerror=alert(1)>\"'{place}"


@pytest.fixture
def hostile_texts(alice: Actor, bob: Actor) -> dict[str, str]:
    """Everything that somebody else may choose and a page shows."""
    texts = {place: hostile(place) for place in ("workspace", "person", "key", "description", "agent", "used")}
    Workspace.objects.filter(id=alice.workspace.id).update(name=texts["workspace"])
    User.objects.filter(id=alice.user.id).update(name=texts["person"], bio=hostile("bio"), company=hostile("company"))
    issue(alice.membership, "password", Caller("192.0.2.7", texts["agent"]))
    key, raw = alice.make_key(name=texts["key"], description=texts["description"])
    APIClient(headers={"X-API-KEY": raw, "User-Agent": texts["used"]}).get("/api/v1/geofences")
    return texts


def test_text_of_others_stays_text(hostile_texts: dict[str, str], alice: Actor):
    pages = {route: visitor(route, alice, alice).get(fill(route, alice)) for route in PAGES}

    shown = [answer.content.decode() for answer in pages.values() if answer.status_code == 200]
    for text in shown:
        page = html.document_fromstring(text)
        assert "<script>alert" not in text and not page.xpath("//img[@src='x'] | //@onerror")
    words = " ".join(shown)
    seen = [place for place in hostile_texts if f"&lt;script&gt;alert(&#x27;{place}&#x27;)" in words]
    assert {"workspace", "person", "key"} <= set(seen), seen


# --- What no form of ours sends

NONSENSE = ["", "\0", "x" * 20_000, "-1", "9" * 400, "'; DROP TABLE x --", "\u202e\ufeff", "null", "2026-99-99"]


def fields_of(text: str) -> Iterator[str]:
    page = html.document_fromstring(text)
    for field in page.xpath("//form//*[self::input or self::select or self::textarea][@name]"):
        if field.get("name") != "csrfmiddlewaretoken":
            yield field.get("name")


@pytest.mark.parametrize("route", POSTS)
@pytest.mark.parametrize("who", ["owner", "nobody"])
def test_nonsense_breaks_no_form(route: str, who: str, alice: Actor):
    client, path = visitor(route, alice if who == "owner" else None, alice), fill(route, alice)
    shown = client.get(path)
    names = set(fields_of(shown.content.decode())) if shown.status_code == 200 else set()

    for value in NONSENSE:
        answer = client.post(path, dict.fromkeys(names | {"next", "token", "email"}, value))
        assert answer.status_code < 500, f"{value[:20]!r}: {answer.status_code}"
    for body in (b"\xff\xfe=%00&a=%ff", b"a=1" * 100_000, b"&" * 5_000, b"%"):
        answer = client.generic("POST", path, body, "application/x-www-form-urlencoded")
        assert answer.status_code < 500, body[:10]


# --- Limits


def test_pages_count_towards_the_plan_as_requests_do(alice: Actor, settings: Any):
    settings.PLAN_LIMITS = {**settings.PLAN_LIMITS, "business": 3}
    page = signed_in(alice, HTTP_HOST=HOST)
    assert alice.client.get("/api/v1/account/me").status_code == 200
    assert [page.get(PROFILE).status_code for _ in range(2)] == [200, 200]

    refused = page.get(PROFILE)

    assert (refused.status_code, refused["Cache-Control"]) == (429, "no-store")
    assert re.fullmatch(r"[1-9]\d*", refused["Retry-After"])
    assert alice.client.get("/api/v1/account/me").status_code == 429
    assert CredentialUsage.objects.get(credential_id=alice.sign_in_id).refusals == 2
