"""Settings / Sign-ins: one's own devices, seen and ended."""

import pytest
from django.test import Client

from accounts.audit import Action
from accounts.models import AuditEvent, SignIn
from accounts.principal import Client as Caller
from accounts.tokens import issue
from tests.support.cast import Actor, bearer
from tests.support.pages import signed_in

PLACE = "/settings/sign-ins"


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def is_live(sign_in_id) -> bool:
    return SignIn.objects.live().filter(id=sign_in_id).exists()


def test_it_lists_ones_own_sign_ins_and_marks_the_current_one(page: Client, alice: Actor, bob: Actor):
    issue(alice.membership, "google", Caller("203.0.113.9", "Mozilla/5.0 (iPhone) Safari/604"))

    shown = page.get(PLACE)

    text = shown.content.decode()
    assert shown.status_code == 200 and shown["Cache-Control"] == "no-store"
    assert "Safari on iPhone" in text and "203.0.113.9" in text and "Google" in text and "Acme" in text
    assert text.count("This one") == 1 and text.count('name="session_id"') == 1
    assert str(alice.sign_in_id) not in text and str(bob.sign_in_id) not in text
    assert alice.pair.access_token not in text and alice.pair.refresh_token not in text


def test_what_a_device_says_of_itself_is_shown_as_text(page: Client, alice: Actor):
    issue(alice.membership, "<b>x</b>", Caller("203.0.113.9", "<script>alert(1)</script>"))
    alice.workspace.name = "<script>alert(2)</script>"
    alice.workspace.save()

    text = page.get(PLACE).content.decode()

    assert "<script>alert" not in text and "&lt;script&gt;alert(2)" in text and "<b>x</b>" not in text


def test_one_is_ended(page: Client, alice: Actor):
    other = alice.sign_in_again()
    other_id = SignIn.objects.exclude(id=alice.sign_in_id).get(user=alice.user).id

    answer = page.post(PLACE, {"session_id": other_id}, follow=True)

    assert answer.redirect_chain == [(PLACE, 302)]
    assert b"The sign-in has ended." in answer.content
    assert not is_live(other_id) and is_live(alice.sign_in_id)
    assert bearer(other.access_token).get("/api/v1/auth/me").status_code == 401
    assert AuditEvent.objects.latest("sequence").action == Action.SESSION_REVOKED


@pytest.mark.parametrize("whose", ["mallory's", "bob's", "nobody's", "not an id", "none"])
def test_a_strangers_sign_in_stays(page: Client, bob: Actor, mallory: Actor, whose: str):
    ids = {"mallory's": mallory.sign_in_id, "bob's": bob.sign_in_id, "not an id": "<script>"}
    ids |= {"nobody's": "0b0e3d6f-0000-4000-8000-000000000000"}

    answer = page.post(PLACE, {"session_id": ids[whose]} if whose in ids else {})

    assert answer.status_code == 404
    assert b"There is nothing here any more" in answer.content
    assert is_live(mallory.sign_in_id) and is_live(bob.sign_in_id)


def test_all_others_are_ended(page: Client, alice: Actor, bob: Actor):
    alice.sign_in_again()
    alice.sign_in_again()
    assert b"End all other sign-ins" in page.get(f"{PLACE}/end-others").content

    answer = page.post(f"{PLACE}/end-others", follow=True)

    assert b"2 other sign-ins ended." in answer.content
    assert list(SignIn.objects.live().filter(user=alice.user).values_list("id", flat=True)) == [alice.sign_in_id]
    assert is_live(bob.sign_in_id)


def test_signing_out_everywhere_ends_this_one_too(page: Client, alice: Actor, bob: Actor):
    alice.sign_in_again()
    copy = page.cookies["__Host-session"].value
    assert page.get(f"{PLACE}/everywhere").status_code == 200

    answer = page.post(f"{PLACE}/everywhere")

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in")
    assert not SignIn.objects.live().filter(user=alice.user).exists() and is_live(bob.sign_in_id)
    page.cookies["__Host-session"] = copy
    assert page.get(PLACE)["Location"].startswith("/sign-in")


@pytest.mark.parametrize("path", [PLACE, f"{PLACE}/end-others", f"{PLACE}/everywhere"])
def test_forms_from_elsewhere_are_refused(alice: Actor, path: str):
    alice.sign_in_again()

    answer = signed_in(alice, enforce_csrf_checks=True).post(path, {"session_id": alice.sign_in_id})

    assert answer.status_code == 403
    assert SignIn.objects.live().filter(user=alice.user).count() == 2


def test_who_is_confined_to_a_workspace_ends_nothing_by_itself(alice: Actor, mallory: Actor):
    """A workspace's identity provider does not speak for the person's other workspaces."""
    mallory.workspace.memberships.create(user=alice.user, role="member")
    saml = issue(alice.membership, "saml", Caller("192.0.2.8", "tests"))
    page = signed_in(alice, saml)

    text = page.get(PLACE).content.decode()

    assert "identity provider" in text and 'name="session_id"' not in text
    assert page.post(PLACE, {"session_id": alice.sign_in_id}).status_code == 403
    assert is_live(alice.sign_in_id)
