"""Settings that somebody else changed while a form about them stood open: of single sign-on, and of the workspace."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from lxml import html

from accounts.models import Workspace
from sso.models import IdentityProvider
from tests.support.cast import Actor
from tests.support.pages import signed_in
from tests.support.saml_idp import certificate
from tests.support.sso_history import connected

SETTINGS = "/settings/sso/connection/settings"
BY_HAND = "/settings/sso/connection/by-hand"
GENERAL = "/settings/workspace"
SECURITY = "/settings/workspace/security"


@pytest.fixture
def page(alice: Actor) -> Client:
    connected(alice)
    return signed_in(alice)


def drawn(answer: Any) -> dict[str, str]:
    """Return what the page's form sends as it was drawn."""
    page = html.document_fromstring(answer.content.decode())
    (form,) = page.xpath("//main//form[@method='post'][.//input[@name='seen']]")
    return {name: value for name, value in form.form_values() if value is not None}


def change_provider(**fields: Any) -> None:
    IdentityProvider.objects.filter(state="serving").update(**fields)


def serving() -> IdentityProvider:
    return IdentityProvider.objects.select_related("workspace").get(state="serving")


def test_settings_of_single_sign_on_that_others_changed_stay(page: Client):
    form = drawn(page.get(SETTINGS))
    change_provider(creates_members=True, attribute_mapping={"email": "mail"}, metadata_url="")
    Workspace.objects.update(refuses_keys_under_sso=True)

    answer = page.post(SETTINGS, {**form, "default_role": "manager"})

    assert answer.status_code == 302
    now = serving()
    assert now.default_role == "manager" and now.creates_members and now.metadata_url == ""
    assert now.attribute_mapping == {"email": "mail"} and now.workspace.refuses_keys_under_sso


def test_what_both_changed_is_told_and_replaced_knowingly(page: Client):
    form = {**drawn(page.get(SETTINGS)), "default_role": "manager"}
    change_provider(default_role="field_worker", slo_url="https://login.okta.example/out")

    refused = page.post(SETTINGS, form)
    kept = serving().default_role
    again = page.post(SETTINGS, drawn(refused))

    text = refused.content.decode()
    assert refused.status_code == 409 and 'id="id_default_role-errors"' in text
    assert "This is “field_worker” since somebody changed it." in text and kept == "field_worker"
    assert again.status_code == 302 and serving().default_role == "manager"
    assert serving().slo_url == "https://login.okta.example/out"  # nobody meant to empty that


@pytest.mark.parametrize(
    ("typed", "theirs", "told"),
    [
        ({"map_email": "upn"}, {"attribute_mapping": {"email": "mail"}}, "Somebody changed this"),
        ({"preset": "entra"}, {"attribute_mapping": {"email": "mail"}}, "Somebody changed this"),
        ({"signs_requests": "true"}, {"signs_requests": None}, ""),
    ],
)
def test_a_mapping_is_one_thing_and_the_same_change_twice_is_none(page: Client, typed: dict, theirs: dict, told: str):
    form = drawn(page.get(SETTINGS))
    change_provider(**{name: True if value is None else value for name, value in theirs.items()})

    answer = page.post(SETTINGS, {**form, **typed})

    assert answer.status_code == (409 if told else 302) and told in answer.content.decode()
    assert serving().attribute_mapping == theirs.get("attribute_mapping", {"email": "email"})


def test_a_connection_by_hand_keeps_the_certificate_that_came_meanwhile(page: Client):
    form = drawn(page.get(BY_HAND))
    both = [*serving().certificates, certificate("next")]
    change_provider(certificates=both)

    assert page.post(BY_HAND, {**form, "sso_url": "https://login.okta.example/new"}).status_code == 302
    assert (serving().certificates, serving().sso_url) == (both, "https://login.okta.example/new")
    refused = page.post(BY_HAND, {**form, "certificate": certificate("other")})
    assert refused.status_code == 409 and 'id="id_certificate-errors"' in refused.content.decode()


def test_security_of_the_workspace_that_others_changed_stays(page: Client, alice: Actor):
    form = drawn(page.get(SECURITY))
    Workspace.objects.update(requires_second_factor=True)
    type(alice.user).objects.filter(id=alice.user.id).update(totp_secret="x", totp_confirmed_at="2026-01-01T00:00:00Z")

    answer = page.post(SECURITY, {**form, "access_token_lifetime_seconds": "900"})

    workspace = Workspace.objects.get(id=alice.workspace.id)
    assert answer.status_code == 302 and workspace.access_token_lifetime == timedelta(seconds=900)
    assert workspace.requires_second_factor
    refused = page.post(SECURITY, {**form, "access_token_lifetime_seconds": "3600"})
    assert refused.status_code == 409 and "This is 900 seconds since somebody changed it." in refused.content.decode()
    assert page.post(SECURITY, drawn(refused)).status_code == 302
    workspace.refresh_from_db()
    assert workspace.access_token_lifetime == timedelta(hours=1) and workspace.requires_second_factor


def test_what_the_workspace_is_called_stays_too(page: Client, alice: Actor):
    Workspace.objects.update(description="Two\nlines")
    form = drawn(page.get(GENERAL))
    Workspace.objects.update(support_email="new@acme.test", name="Theirs")

    kept = page.post(GENERAL, {**form, "website": "https://acme.test", "description": "Two\r\nlines"})
    refused = page.post(GENERAL, {**form, "name": "Mine"})

    workspace = Workspace.objects.get(id=alice.workspace.id)
    assert kept.status_code == 302 and workspace.website == "https://acme.test"
    assert (workspace.support_email, workspace.name) == ("new@acme.test", "Theirs")
    assert refused.status_code == 409 and "This is “Theirs” since somebody changed it." in refused.content.decode()


TYPED = {
    SETTINGS: {"slo_url": "https://login.okta.example/x"},
    BY_HAND: {"sso_url": "https://login.okta.example/y"},
    GENERAL: {"name": "Told"},
    SECURITY: {"access_token_lifetime_seconds": "300"},
    "/settings/sso/require": {"api_keys": "refused"},
}


def states() -> list[Any]:
    return [*IdentityProvider.objects.order_by("id").values(), Workspace.objects.values().get()]


@pytest.mark.parametrize("path", TYPED)
@pytest.mark.parametrize("seen", ["", "[]", "nonsense", "{}", '{"default_role": [1]}', "[" * 9999])
def test_a_form_that_does_not_say_what_was_seen_changes_nothing(page: Client, alice: Actor, path: str, seen: str):
    alice.user.email = "alice@elsewhere.test"  # so that her own sign-in goes on
    alice.user.save()
    form, before = {**drawn(page.get(path)), **TYPED[path]}, states()

    refused = page.post(path, {**form, "seen": seen})

    assert refused.status_code == 409 and f'href="{path}">Open the page again' in refused.content.decode()
    assert states() == before
    assert page.post(path, form).status_code == 302 and states() != before
