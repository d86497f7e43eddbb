"""Two tabs of one browser: a form does what its person saw, in the workspace that they saw."""

import pytest
from django.test import Client

from accounts.models import AuditEvent, Invitation
from accounts.workspaces import create_another
from apikeys.models import ApiKey
from tests.support.cast import Actor
from tests.support.pages import FIELD, fill_in, hidden_fields, signed_in

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
