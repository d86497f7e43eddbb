"""The workspace switcher: which there are, entering one, making one."""

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, SignIn, Workspace
from accounts.principal import Client as Caller
from accounts.tokens import issue
from tests.support.cast import Actor, bearer, make_workspace
from tests.support.pages import signed_in

PLACE = "/workspaces"


@pytest.fixture
def second(alice: Actor) -> Workspace:
    """Another workspace that Alice belongs to."""
    workspace = make_workspace("second")
    Membership.objects.create(user=alice.user, workspace=workspace, role="field_worker")
    return workspace


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def test_it_lists_what_one_belongs_to_and_no_other(page: Client, second: Workspace, mallory: Actor):
    text = page.get(PLACE).content.decode()

    assert "Acme" in text and "Second" in text and "field worker" in text and "Other" not in text
    assert text.count("You are here") == 1


def test_entering_moves_this_sign_in_and_is_named_on_every_page(page: Client, alice: Actor, second: Workspace):
    old_token = alice.pair.access_token

    answer = page.post(PLACE, {"workspace_id": second.id})

    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert SignIn.objects.get(id=alice.sign_in_id).workspace_id == second.id
    assert bearer(old_token).get("/api/v1/auth/me").status_code == 401
    text = page.get("/settings/profile").content.decode()
    assert "You are in Second now." in text
    assert text.index("Second") < text.index("Acme")  # the name in the bar, then the menu


@pytest.mark.parametrize("whose", ["mallory's", "nobody's", "not an id", "suspended", "none"])
def test_no_other_is_entered(page: Client, alice: Actor, second: Workspace, mallory: Actor, whose: str):
    Workspace.objects.filter(id=second.id).update(suspended_at=timezone.now())
    ids = {"mallory's": mallory.workspace.id, "nobody's": "0b0e3d6f-0000-4000-8000-000000000000"}
    ids |= {"not an id": "<script>", "suspended": second.id}

    answer = page.post(PLACE, {"workspace_id": ids[whose]} if whose in ids else {})

    assert answer.status_code == (403 if whose in ids else 422)
    assert whose == "none" or b"You cannot enter this workspace" in answer.content
    assert SignIn.objects.get(id=alice.sign_in_id).workspace_id == alice.workspace.id


def test_a_workspace_that_ended_all_sign_ins_wants_a_new_one(page: Client, second: Workspace):
    Workspace.objects.filter(id=second.id).update(sign_ins_ended_at=timezone.now())

    answer = page.post(PLACE, {"workspace_id": second.id})

    assert answer.status_code == 403 and b"Sign in again to enter it." in answer.content


def test_a_sign_in_by_the_workspaces_provider_stays_in_it_and_says_why(alice: Actor, second: Workspace):
    saml = issue(alice.membership, "saml", Caller("192.0.2.8", "tests"))
    page = signed_in(alice, saml)

    text = page.get(PLACE).content.decode()
    answer = page.post(PLACE, {"workspace_id": second.id})

    assert "counts here only" in text and "Second" not in text
    assert answer.status_code == 403 and b"counts in this workspace only" in answer.content


def test_one_is_made_and_then_entered(page: Client, alice: Actor):
    answer = page.post(f"{PLACE}/new", {"name": "<script>alert(1)</script>", "slug": ""}, follow=True)

    made = Membership.objects.exclude(workspace=alice.workspace).get(user=alice.user)
    assert answer.redirect_chain == [(PLACE, 302)] and made.role == "owner"
    assert b"<script>alert" not in answer.content and b"&lt;script&gt;alert(1)" in answer.content
    assert page.post(PLACE, {"workspace_id": made.workspace_id}).status_code == 302
    assert b"<script>alert" not in page.get("/settings/profile").content


def test_a_short_name_that_is_taken_is_said(page: Client, mallory: Actor):
    answer = page.post(f"{PLACE}/new", {"name": "Mine", "slug": "other"})

    assert answer.status_code == 409
    assert b"This short name is taken." in answer.content and b'value="Mine"' in answer.content
    assert page.post(f"{PLACE}/new", {"name": "", "slug": "A B"}).status_code == 422


@pytest.mark.parametrize("path", [PLACE, f"{PLACE}/new"])
def test_forms_from_elsewhere_are_refused(alice: Actor, second: Workspace, path: str):
    page = signed_in(alice, enforce_csrf_checks=True)

    assert page.post(path, {"workspace_id": second.id, "name": "New"}).status_code == 403
    assert SignIn.objects.get(id=alice.sign_in_id).workspace_id == alice.workspace.id
    assert Membership.objects.filter(user=alice.user).count() == 2
