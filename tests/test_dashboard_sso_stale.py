"""A form about single sign-on whose connection is not in its place any more, or came after it was drawn: it changes no
other one, and the same form about the connection that is there still does what it says.
"""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Workspace
from sso.models import IdentityProvider
from tests.support.cast import Actor
from tests.support.pages import fill_in, hidden_fields, signed_in
from tests.support.saml_idp import certificate, fingerprint
from tests.support.saml_setup import ENTITY, SSO_URL, entity
from tests.support.sso_history import connected, shown

PLACE = "/settings/sso"
State = IdentityProvider.State
TYPED = {
    "certificates": {"certificate": certificate("next")},
    "settings": {"preset": "okta", "default_role": "manager", "map_email": "email"},
    "metadata": {"xml": entity()},
    "by-hand": {"entity_id": ENTITY, "sso_url": SSO_URL, "certificate": certificate("next")},
    "test": {},
}
MADE = ["metadata", "by-hand"]


@pytest.fixture
def owner(alice: Actor) -> Client:
    return signed_in(alice)


def without_removal(form: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in form.items() if name != "remove"}


def everything() -> list[dict[str, Any]]:
    return list(IdentityProvider.objects.order_by("id").values()) + list(Workspace.objects.order_by("id").values())


def promote(owner: Client) -> None:
    IdentityProvider.objects.update(tested_at=timezone.now())
    assert fill_in(owner, f"{PLACE}/staged/promote").status_code == 302


def refuses(owner: Client, path: str, form: dict[str, Any]) -> str:
    """Send a form that is to change nothing, and return what its person reads."""
    before, events = everything(), AuditEvent.objects.count()
    answer = owner.post(path, form)
    assert answer.status_code == 409, answer.content
    assert everything() == before and AuditEvent.objects.count() == events
    text = str(answer.content.decode())
    assert f'href="{PLACE}">Go to Single sign-on' in text
    return text


@pytest.mark.parametrize("leaf", [*TYPED, "reread"])
def test_a_form_about_what_served_before_changes_nothing_of_what_serves_now(owner: Client, alice: Actor, leaf: str):
    connected(alice)
    path = f"{PLACE}/connection/{leaf}"
    old_page = without_removal(hidden_fields(owner.get(path))) | TYPED.get(leaf, {})
    promote(owner)

    assert "Another connection is in that place by now." in refuses(owner, path, old_page)
    if leaf != "reread":  # that would ask a provider
        new_page = without_removal(hidden_fields(owner.get(path))) | TYPED[leaf]
        assert owner.post(path, new_page).status_code in (200, 302)


@pytest.mark.parametrize("leaf", [*TYPED, "reread"])
def test_a_form_about_what_was_staged_does_nothing_once_that_serves(owner: Client, alice: Actor, leaf: str):
    connected(alice)
    path = f"{PLACE}/staged/{leaf}"
    old_page = without_removal(hidden_fields(owner.get(path))) | TYPED.get(leaf, {})
    promote(owner)

    assert "This connection serves already." in refuses(owner, path, old_page)


def test_no_certificate_is_taken_from_another_connection(owner: Client, alice: Actor):
    connected(alice)
    path = f"{PLACE}/staged/certificates"
    old_page = hidden_fields(owner.get(path))
    doomed = {**old_page, "remove": fingerprint(certificate("other", -3))}
    IdentityProvider.objects.filter(state=State.STAGED).update(state="x")
    IdentityProvider.objects.filter(state=State.FORMER).update(
        state=State.STAGED, certificates=[certificate("other", -3), certificate("idp")]
    )

    refuses(owner, path, doomed)
    assert owner.post(path, {**doomed, **shown(State.STAGED)}).status_code == 302


@pytest.mark.parametrize("leaf", MADE)
@pytest.mark.parametrize("which", ["connection", "staged"])
def test_a_form_that_showed_none_overwrites_none_that_came(owner: Client, alice: Actor, which: str, leaf: str):
    path = f"{PLACE}/{which}/{leaf}"
    form = {"preset": "okta", **hidden_fields(owner.get(path)), **TYPED[leaf]}
    connected(alice)

    refuses(owner, path, form)
    refuses(owner, path, {name: value for name, value in form.items() if name != "connection"})
    IdentityProvider.objects.all().delete()
    assert owner.post(path, form).status_code == 302
    assert IdentityProvider.objects.get().entity_id == ENTITY


@pytest.mark.parametrize("leaf", [*TYPED, "reread"])
def test_a_form_about_a_deleted_connection_brings_it_not_back(owner: Client, alice: Actor, leaf: str):
    connected(alice)
    path = f"{PLACE}/connection/{leaf}"
    old_page = without_removal(hidden_fields(owner.get(path))) | TYPED.get(leaf, {})
    assert fill_in(owner, f"{PLACE}/delete").status_code == 302

    refuses(owner, path, old_page)

    assert not IdentityProvider.objects.filter(state=State.SERVING).exists()
    made = {"preset": "okta", **hidden_fields(owner.get(f"{PLACE}/connection/by-hand")), **TYPED["by-hand"]}
    assert owner.post(f"{PLACE}/connection/by-hand", made).status_code == 302
    refuses(owner, path, old_page)  # nor does it change what came after it


@pytest.mark.parametrize("leaf", ["enable", "disable", "require", "lift"])
def test_a_switch_is_about_the_connection_that_was_shown(owner: Client, alice: Actor, leaf: str):
    connected(alice)
    alice.user.email = "alice@elsewhere.test"  # so that her own sign-in goes on
    alice.user.save()
    IdentityProvider.objects.update(is_enabled=leaf != "enable")
    Workspace.objects.update(requires_sso=leaf == "lift")
    path = f"{PLACE}/{leaf}"
    old_page = hidden_fields(owner.get(path))
    IdentityProvider.objects.filter(state=State.STAGED).update(is_enabled=leaf != "enable")
    promote(owner)
    before = everything()

    assert owner.post(path, old_page).status_code == 409
    assert owner.post(path).status_code == 409 and everything() == before
    assert fill_in(owner, path).status_code == 302 and everything() != before


def test_what_api_keys_may_do_is_decided_by_who_saw_it(owner: Client, alice: Actor):
    connected(alice)
    alice.user.email = "alice@elsewhere.test"
    alice.user.save()
    path = f"{PLACE}/require"
    untouched = {**hidden_fields(owner.get(path)), "api_keys": "kept"}
    Workspace.objects.update(refuses_keys_under_sso=True)

    assert owner.post(path, untouched).status_code == 302
    acme = Workspace.objects.get()
    assert acme.requires_sso and acme.refuses_keys_under_sso  # a colleague's decision, which she did not touch


@pytest.mark.parametrize("is_required", [True, False])
def test_what_cannot_be_taken_away_is_not_offered(owner: Client, alice: Actor, is_required: bool):
    connected(alice)
    alice.user.email = "alice@elsewhere.test"
    alice.user.save()
    both = [certificate("idp"), certificate("next")]
    IdentityProvider.objects.filter(state=State.SERVING).update(certificates=both)
    Workspace.objects.update(requires_sso=is_required)
    path = f"{PLACE}/connection/certificates"

    text = owner.get(path).content.decode()
    sent = owner.post(path, {"remove": fingerprint(both[0]), **shown()})

    assert ('name="remove"' in text, "so none is taken away here" in text) == (not is_required, is_required)
    assert sent.status_code == (409 if is_required else 302)
    assert 'name="remove"' in owner.get(f"{PLACE}/staged/certificates").content.decode()
