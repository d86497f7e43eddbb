"""Settings / Workspace, without a browser: what it is called, what its plan leaves, what owners decide, its end."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import CredentialUsage, Membership, SignIn, Workspace
from dashboard.session import FRESH_FOR
from tests.support.cast import Actor
from tests.support.pages import age_session, fill_in, signed_in

PLACE = "/settings/workspace"
GENERAL = {"name": "Acme Logistics", "timezone": "Europe/Zurich", "unit_system": "metric"}
OWNERS_PAGES = [f"{PLACE}/security", f"{PLACE}/end-sign-ins", f"{PLACE}/delete"]


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def kept(actor: Actor) -> Workspace:
    return Workspace.objects.get(id=actor.workspace.id)


def test_it_is_renamed_and_described(page: Client, alice: Actor):
    Workspace.objects.update(requires_second_factor=False, support_email="old@acme.test")

    answer = fill_in(page, PLACE, {**GENERAL, "support_email": "", "website": "https://acme.test"})

    assert answer["Location"] == PLACE and b"The workspace is saved." in page.get(PLACE).content
    now = kept(alice)
    assert (now.name, now.timezone, now.unit_system) == ("Acme Logistics", "Europe/Zurich", "metric")
    assert (now.support_email, now.website) == ("", "https://acme.test")


def test_the_general_form_leaves_security_alone(page: Client, alice: Actor):
    Workspace.objects.update(requires_second_factor=True, access_token_lifetime=timedelta(seconds=300))
    type(alice.user).objects.filter(id=alice.user.id).update(totp_secret="x", totp_confirmed_at=timezone.now())

    answer = fill_in(page, PLACE, {**GENERAL, "requires_second_factor": "", "access_token_lifetime_seconds": "86400"})

    assert answer.status_code == 302 and kept(alice).name == "Acme Logistics"
    assert kept(alice).requires_second_factor and kept(alice).access_token_lifetime == timedelta(seconds=300)


def test_names_are_shown_as_text(page: Client, alice: Actor):
    Workspace.objects.update(name="<script>alert(1)</script>", description="<script>alert(2)</script>")

    for path in (PLACE, f"{PLACE}/usage", *OWNERS_PAGES):
        text = page.get(path).content.decode()
        assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"timezone": "Moon/Base"}, "timezone"),
        ({"website": "javascript:alert(1)"}, "website"),
        ({"billing_email": "nobody"}, "billing_email"),
        ({"unit_system": "nautical"}, "unit_system"),
    ],
)
def test_what_is_wrong_stands_at_its_field(page: Client, alice: Actor, wrong: dict, field: str):
    answer = fill_in(page, PLACE, {**GENERAL, "description": "Kept <i>", **wrong})

    assert answer.status_code == 422 and list(answer.context["form"].errors) == [field]
    assert "Kept &lt;i&gt;" in answer.content.decode() and kept(alice).name == "Acme"


def test_members_look_and_change_nothing(alice: Actor, bob: Actor):
    page = signed_in(bob)

    text = page.get(PLACE).content.decode()

    assert "Acme" in text and "Owners and managers change this" in text and 'name="name"' not in text
    assert not [path for path in OWNERS_PAGES if path in text]
    assert page.post(PLACE, GENERAL).status_code == 403 and kept(alice).name == "Acme"
    assert {ask(path, {"slug": "acme"}).status_code for path in OWNERS_PAGES for ask in (page.get, page.post)} == {403}
    assert Workspace.objects.filter(id=alice.workspace.id).exists() and SignIn.objects.live().count() == 2


def test_managers_name_it_and_decide_no_security(alice: Actor, bob: Actor):
    Membership.objects.filter(id=bob.membership.id).update(role="manager")
    page = signed_in(bob)

    assert fill_in(page, PLACE, GENERAL).status_code == 302 and kept(alice).name == "Acme Logistics"
    assert {ask(path, {"slug": "acme"}).status_code for path in OWNERS_PAGES for ask in (page.get, page.post)} == {403}


def test_the_use_shows_what_is_left(page: Client, alice: Actor):
    alice.make_key()
    now = timezone.now()
    CredentialUsage.objects.create(
        credential_id=alice.workspace.id,
        workspace_id=alice.workspace.id,
        started_at=now,
        requests=1234,
        refusals=56,
        last_used_at=now,
        last_ip="192.0.2.1",
        last_user_agent="",
    )

    text = page.get(f"{PLACE}/usage").content.decode()  # itself counted, too

    most = settings.MAX_API_KEYS_PER_WORKSPACE
    assert f"1 of {most} · <strong>{most - 1} left" in text and f'value="1" max="{most}"' in text
    assert "1 of 10,000 · <strong>9,999 left" in text
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    own = CredentialUsage.objects.filter(credential_id=alice.sign_in_id, started_at__gte=midnight).count()
    assert f"<dd>{1234 + own:,}</dd>" in text and "<dd>56</dd>" in text
    assert 'Business <span class="badge good">Yours' in text


def test_the_lifetime_of_tokens_is_chosen_and_taken_back(page: Client, alice: Actor):
    path = f"{PLACE}/security"
    Workspace.objects.update(access_token_lifetime=timedelta(seconds=1230))
    assert '<option value="1230" selected>' in page.get(path).content.decode()

    fill_in(page, path, {"access_token_lifetime_seconds": "900"})
    assert kept(alice).access_token_lifetime == timedelta(seconds=900)
    assert '<option value="900" selected>15 minutes' in page.get(path).content.decode()
    fill_in(page, path, {"access_token_lifetime_seconds": ""})
    assert kept(alice).access_token_lifetime is None
    for wrong in ("299", "86401", "soon"):
        answer = fill_in(page, path, {"access_token_lifetime_seconds": wrong})
        assert answer.status_code == 422 and list(answer.context["form"].errors) == ["access_token_lifetime_seconds"]


def test_a_second_factor_is_required_only_by_whoever_has_one(page: Client, alice: Actor):
    path, wanted = f"{PLACE}/security", {"requires_second_factor": "true"}

    refused = fill_in(page, path, wanted)
    type(alice.user).objects.filter(id=alice.user.id).update(totp_secret="x", totp_confirmed_at=timezone.now())
    allowed = fill_in(page, path, wanted)

    assert refused.status_code == 409 and "Set up a second factor of your own first" in refused.content.decode()
    assert list(refused.context["form"].errors) == ["requires_second_factor"]
    assert 'value="true" checked aria-invalid="true"' in refused.content.decode()
    assert allowed.status_code == 302 and kept(alice).requires_second_factor
    fill_in(page, path, {})
    assert not kept(alice).requires_second_factor


def test_everybody_is_signed_out(page: Client, alice: Actor, bob: Actor):
    key = bob.key_client(["geofences:read"])
    assert b"you too" in page.get(f"{PLACE}/end-sign-ins").content

    answer = page.post(f"{PLACE}/end-sign-ins", follow=True)

    assert answer.redirect_chain[0] == ("/sign-in", 302) and b"2 people are signed out" in answer.content
    assert not SignIn.objects.live().filter(workspace=alice.workspace).exists()
    assert bob.client.get("/api/v1/auth/me").status_code == 401 and key.get("/api/v1/geofences").status_code == 200


def test_that_is_limited_as_in_the_api(page: Client, alice: Actor):
    alice.client.post("/api/v1/workspaces/revoke-all-sessions")

    answer = signed_in(alice, alice.sign_in_again()).post(f"{PLACE}/end-sign-ins")

    assert answer.status_code == 429 and b"That was too often. Wait" in answer.content


def test_it_is_deleted_by_whoever_types_its_short_name(page: Client, alice: Actor, bob: Actor, mallory: Actor):
    alice.make_key()
    asked = page.get(f"{PLACE}/delete").content.decode()
    wrong = page.post(f"{PLACE}/delete", {"slug": "other"})
    empty = page.post(f"{PLACE}/delete", {})
    assert [answer.status_code for answer in (wrong, empty)] == [422, 422]
    assert "1 API key." in asked and "2 memberships" in asked and "slug-errors" in wrong.content.decode()
    assert kept(alice) and kept(mallory)

    answer = page.post(f"{PLACE}/delete", {"slug": "acme"}, follow=True)

    assert answer.redirect_chain[0] == ("/sign-in", 302) and b"The workspace is deleted" in answer.content
    assert list(Workspace.objects.all()) == [mallory.workspace]
    assert bob.client.get("/api/v1/auth/me").status_code == 401


@pytest.mark.parametrize("path", OWNERS_PAGES)
def test_what_owners_decide_wants_a_fresh_proof(page: Client, alice: Actor, path: str):
    age_session(page, FRESH_FOR + 1)

    for answer in (page.get(path), page.post(path, {"slug": "acme", "requires_second_factor": "true"})):
        assert answer["Location"].removesuffix("&typed=1") == f"/confirm?next={path.replace('/', '%2F')}"
    assert kept(alice) and SignIn.objects.live().count() == 1


@pytest.mark.parametrize("path", [PLACE, *OWNERS_PAGES])
def test_forms_from_elsewhere_are_refused(alice: Actor, path: str):
    answer = signed_in(alice, enforce_csrf_checks=True).post(path, {**GENERAL, "slug": "acme"})

    assert answer.status_code == 403 and kept(alice).name == "Acme" and SignIn.objects.live().count() == 1
