"""Two tabs of one browser: a form does what its person saw, in the workspace that they saw."""

from http.cookies import SimpleCookie

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client

from accounts.models import AuditEvent, Invitation, Membership
from accounts.workspaces import create_another
from apikeys.models import ApiKey
from dashboard import session
from tests.support.cast import PASSWORD, Actor
from tests.support.pages import FIELD, Tab, fill_in, hidden_fields, signed_in
from tests.support.race import at_once

KEYS = "/settings/api-keys"
NEW = {"name": "CI", "permissions": ["geofences:read"], "expires_in": "never"}
INVITED = {"email": "guest@guests.test", "role": "member"}


@pytest.fixture
def page(alice: Actor) -> Client:
    """Alice's browser; she belongs to a second workspace, named <b>Annex."""
    create_another(alice.request(), "<b>Annex", "annex")
    return signed_in(alice)


def enter(page: Client, slug: str) -> None:
    (there,) = (one for one in page.get("/workspaces").context["eligible"] if one.workspace.slug == slug)
    assert page.post("/workspaces", {"workspace_id": str(there.workspace_id)}).status_code == 302


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        (f"{KEYS}/new", NEW),
        ("/settings/members/invitations/new", INVITED),
        ("/settings/workspace", {"name": "Renamed"}),
    ],
)
def test_a_form_of_another_workspace_changes_neither(page: Client, alice: Actor, path: str, typed: dict):
    drawn = hidden_fields(page.get(path))
    enter(page, "annex")
    before = AuditEvent.objects.count()

    answer = page.post(path, {**drawn, **typed})

    text = answer.content.decode()
    assert answer.status_code == 409 and "You are in another workspace now" in text
    assert f"Go back to {alice.workspace.name}" in text and "&lt;b&gt;Annex" in text and "<b>Annex" not in text
    assert not ApiKey.objects.exists() and not Invitation.objects.exists()
    assert AuditEvent.objects.count() == before


def test_one_goes_back_and_the_form_counts_again(page: Client, alice: Actor):
    drawn = hidden_fields(page.get(f"{KEYS}/new"))
    enter(page, "annex")
    back = hidden_fields(page.post(f"{KEYS}/new", {**drawn, **NEW}))

    assert page.post("/workspaces", back)["Location"] == f"{KEYS}/new"
    answer = page.post(f"{KEYS}/new", {**drawn, **NEW})

    assert answer.status_code == 200 and ApiKey.objects.get().workspace_id == alice.workspace.id
    assert f"It works in <strong><bdi>{alice.workspace.name}" in answer.content.decode()


@pytest.mark.parametrize("drawn_in", ["", "nonsense", "00000000-0000-0000-0000-000000000000"])
def test_a_form_that_names_none_or_a_strangers_changes_nothing(page: Client, drawn_in: str):
    answer = page.post(f"{KEYS}/new", {**hidden_fields(page.get(f"{KEYS}/new")), **NEW, FIELD: drawn_in})

    assert answer.status_code == 409 and b"Open the page anew" in answer.content
    assert not ApiKey.objects.exists()


def test_the_way_back_leads_to_no_other_site(page: Client, alice: Actor):
    answer = fill_in(page, "/workspaces", {"workspace_id": str(alice.workspace.id), "next": "//evil.test/"})

    assert answer["Location"] == "/"


def test_whoever_was_signed_out_is_told_and_led_back(page: Client, alice: Actor):
    form = hidden_fields(page.get(f"{KEYS}/new"))
    alice.client.post("/api/v1/auth/logout")

    asked, sent = page.get(f"{KEYS}?of=workspace"), page.post(f"{KEYS}/new", {**form, **NEW})

    assert asked["Location"] == "/sign-in?next=%2Fsettings%2Fapi-keys%3Fof%3Dworkspace"
    assert sent["Location"] == "/sign-in?next=%2Fsettings%2Fapi-keys%2Fnew"
    text = page.get(sent["Location"], SERVER_NAME="localhost").content.decode()
    assert "Your sign-in has ended. Sign in again." in text
    assert "What you sent was not carried out." in text and not ApiKey.objects.exists()


def test_whoever_never_was_is_asked_without_a_word(db: None):
    stranger = Client(SERVER_NAME="localhost")

    text = stranger.get(KEYS, follow=True).content.decode()

    assert "Sign in" in text and "has ended" not in text


def test_a_late_answer_signs_nobody_out(page: Client, alice: Actor):
    before = page.cookies[settings.SESSION_COOKIE_NAME].value
    enter(page, "annex")
    page.cookies[settings.SESSION_COOKIE_NAME] = before  # set by an answer that was on its way for longer

    shown = page.get(KEYS)

    assert shown.status_code == 200 and shown.context["principal"].workspace_id != alice.workspace.id
    assert page.session["sign_in"][2] == str(shown.context["principal"].workspace_id)
    assert page.cookies[settings.SESSION_COOKIE_NAME].value != before


def test_a_tab_follows_a_sign_in_that_moves_while_it_is_looked_for(
    page: Client, alice: Actor, monkeypatch: pytest.MonkeyPatch
):
    late, find = Tab(HTTP_USER_AGENT="Firefox"), session.authenticate_sign_in
    late.cookies = SimpleCookie({name: cookie.value for name, cookie in page.cookies.items()})
    moves = ["annex", alice.workspace.slug]

    def find_after_a_move(name: session.SignInName):
        if moves:
            with monkeypatch.context() as other_tab:
                other_tab.setattr(session, "authenticate_sign_in", find)
                enter(page, moves.pop(0))
        return find(name)

    monkeypatch.setattr(session, "authenticate_sign_in", find_after_a_move)

    assert late.get(KEYS).status_code == 200 and not moves
    assert late.session["sign_in"] == page.session["sign_in"]


@pytest.mark.parametrize("end", ["logout", "removed"])
def test_a_cookie_from_before_a_move_ends_with_its_sign_in(page: Client, alice: Actor, end: str):
    before = page.cookies[settings.SESSION_COOKIE_NAME].value
    enter(page, "annex")
    if end == "logout":
        page.post("/sign-out", HTTP_HOST="localhost")
    else:
        Membership.objects.filter(user=alice.user, workspace__slug="annex").delete()
    page.cookies[settings.SESSION_COOKIE_NAME] = before

    assert page.get(KEYS)["Location"].startswith("/sign-in")


@pytest.mark.django_db(transaction=True)
def test_many_switches_at_once_leave_every_tab_signed_in(page: Client):
    workspaces = [str(one.workspace_id) for one in page.get("/workspaces").context["eligible"]]

    def switch(index: int) -> tuple[int, int]:
        tab = Tab(HTTP_USER_AGENT="Firefox")
        tab.cookies = SimpleCookie({name: cookie.value for name, cookie in page.cookies.items()})
        try:
            return tab.post("/workspaces", {"workspace_id": workspaces[index % 2]}).status_code, tab.get(
                KEYS
            ).status_code
        finally:
            connections.close_all()  # each thread has its own

    assert {status for _, status in at_once(8, switch)} == {200}


def test_a_page_seen_again_sets_no_cookie(page: Client):
    page.get(KEYS)

    assert settings.SESSION_COOKIE_NAME not in page.get(KEYS).cookies


def test_a_password_counts_for_the_address_that_its_form_shows(alice: Actor, bob: Actor):
    browser = Client(SERVER_NAME="localhost")
    for email in (alice.user.email, bob.user.email):
        browser.post("/sign-in", {"email": email})

    of_alices_tab = {"username": alice.user.email, "password": PASSWORD}
    answer = browser.post("/sign-in/password", of_alices_tab, follow=True)

    text = answer.content.decode()
    assert "This form was for alice@acme.test" in text and "bob@acme.test" in text
    assert "sign_in" not in browser.session
    assert browser.post("/sign-in/password", {**of_alices_tab, "username": bob.user.email})["Location"] == "/"
