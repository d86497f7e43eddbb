"""Settings / Profile: one's own profile, and the end of the account."""

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, User, Workspace
from accounts.serializers.profile import ProfileUpdateSerializer
from accounts.workspaces import create_another
from dashboard import session
from tests.support.cast import Actor
from tests.support.mails import delivered_to
from tests.support.pages import age_session, signed_in

PLACE = "/settings/profile"
DELETE = f"{PLACE}/delete"
FORM = {
    "name": "Alice Liddell",
    "phone_number": "+41446681800",
    "bio": "Maps.",
    "avatar_url": "https://pictures.test/alice.png",
    "timezone": "Europe/Zurich",
    "date_format": "DD.MM.YYYY",
    "time_format": "12h",
    "default_map_style": "dark",
    "default_geofence_color": "#112233",
    "default_api_version": "v1",
    "marketing_emails": "on",
    "usage_alert_notifications": "on",
}


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def test_every_field_is_shown_and_saved_as_the_api_has_it(page: Client, alice: Actor):
    assert page.get(PLACE).status_code == 200

    answer = page.post(PLACE, FORM, follow=True)

    profile = alice.client.get("/api/v1/account/me").json()
    ticks = {name for name in profile if profile[name] is True} - {"email_verified"}
    assert answer.redirect_chain == [(PLACE, 302)] and b"Your profile is saved." in answer.content
    assert {name: profile[name] for name in FORM if FORM[name] != "on"} == {n: v for n, v in FORM.items() if v != "on"}
    assert ticks == {"marketing_emails", "usage_alert_notifications"}
    text = answer.content.decode()
    assert 'value="Alice Liddell"' in text and '<option value="Europe/Zurich" selected>' in text
    assert text.count(" checked>") == 2


def test_every_name_that_the_api_takes_stands_in_the_form(page: Client):
    text = page.get(PLACE).content.decode()

    assert [name for name in ProfileUpdateSerializer().fields if f'name="{name}"' not in text] == []


def test_what_is_emptied_is_empty(page: Client, alice: Actor):
    page.post(PLACE, FORM)

    page.post(PLACE, {**FORM, "name": "", "phone_number": "", "bio": "", "avatar_url": ""})

    alice.user.refresh_from_db()
    emptied = (alice.user.name, alice.user.phone_number, alice.user.bio, alice.user.avatar_url)
    assert emptied == ("", "", "", "")


def test_what_is_wrong_stands_next_to_its_field_with_what_was_typed(page: Client, alice: Actor):
    wrong = {**FORM, "phone_number": "044", "avatar_url": "javascript:alert(1)", "name": "<script>alert(1)</script>"}

    answer = page.post(PLACE, wrong)

    text = answer.content.decode()
    assert answer.status_code == 422
    assert 'aria-describedby="id_phone_number-help id_phone_number-errors"' in text
    assert 'id="id_phone_number-errors"' in text
    assert "Enter an address that begins with https://" in text
    assert "<script>alert" not in text and 'value="&lt;script&gt;alert(1)' in text
    assert text.count(" checked>") == 2
    alice.user.refresh_from_db()
    assert alice.user.name == "Alice"


def test_only_who_types_the_address_deletes_the_account(page: Client, alice: Actor):
    shown = page.get(DELETE)
    assert b"Acme" in shown.content and b"alice@acme.test" in shown.content

    refused = page.post(DELETE, {"confirmation": "alice"})
    assert refused.status_code == 422 and User.objects.filter(id=alice.user.id).exists()

    answer = page.post(DELETE, {"confirmation": " Alice@acme.test "})

    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert not User.objects.filter(id=alice.user.id).exists() and not Workspace.objects.filter(slug="acme").exists()
    assert b"Your account is deleted." in page.get("/").content
    assert page.get(PLACE)["Location"].startswith("/sign-in")
    delivered_to("alice@acme.test")


def test_every_workspace_that_goes_with_the_account_is_named(page: Client, alice: Actor, bob: Actor):
    suspended, _ = (create_another(alice.request(), name, name.lower()) for name in ("Depot", "Annex"))
    Workspace.objects.filter(id=suspended.id).update(suspended_at=timezone.now())
    bob.make_key()  # somebody else belongs to Acme

    text = page.get(DELETE).content.decode()

    assert "<bdi>Depot</bdi></strong> (suspended)" in text and "<bdi>Annex</bdi></strong>" in text
    assert "<bdi>Acme</bdi></strong>" not in text
    Membership.objects.filter(user=bob.user).delete()
    page.post(DELETE, {"confirmation": "alice@acme.test"})
    assert not Workspace.objects.filter(slug__in=["acme", "depot", "annex"]).exists()


def test_the_only_owner_of_others_is_told_what_to_do(page: Client, alice: Actor, bob: Actor):
    assert b"<strong><bdi>Acme</bdi></strong>" not in page.get(DELETE).content

    answer = page.post(DELETE, {"confirmation": "alice@acme.test"})

    assert answer.status_code == 409
    assert b"Make one of them an owner" in answer.content
    assert Membership.objects.filter(user=alice.user).exists()


def test_deleting_wants_a_fresh_proof(page: Client, alice: Actor):
    age_session(page, session.FRESH_FOR + 1)

    for answer in (page.get(DELETE), page.post(DELETE, {"confirmation": "alice@acme.test"})):
        assert answer["Location"].removesuffix("&typed=1") == "/confirm?next=%2Fsettings%2Fprofile%2Fdelete"
    assert User.objects.filter(id=alice.user.id).exists()


@pytest.mark.parametrize("path", [PLACE, DELETE])
def test_forms_from_elsewhere_are_refused(alice: Actor, path: str):
    page = signed_in(alice, enforce_csrf_checks=True)

    assert page.post(path, FORM | {"confirmation": "alice@acme.test"}).status_code == 403
    assert User.objects.get(id=alice.user.id).name == "Alice"
