"""Single sign-on while somebody else, or another tab, changes it at the same moment or just before."""

from typing import Any

import pytest
from django.db import connections
from django.db.models import Value
from django.db.models.functions import Concat
from django.test import Client
from django.utils import timezone

from accounts.models import Membership
from sso.models import IdentityProvider
from tests.support.cast import Actor
from tests.support.pages import hidden_fields, signed_in
from tests.support.race import waiting_behind
from tests.support.saml_idp import certificate, fingerprint
from tests.support.sso_history import connected, shown

PLACE = "/settings/sso"
CERTIFICATES = f"{PLACE}/connection/certificates"
State = IdentityProvider.State


@pytest.fixture
def owner(alice: Actor) -> Client:
    connected(alice)
    return signed_in(alice)


@pytest.fixture
def other(bob: Actor) -> Client:
    """Another owner's browser."""
    Membership.objects.filter(id=bob.membership.id).update(role="owner")
    return signed_in(bob)


def serving() -> IdentityProvider:
    return IdentityProvider.objects.get(state=State.SERVING)


@pytest.mark.django_db(transaction=True)
def test_certificates_changed_at_one_moment_all_take_effect(owner: Client, other: Client, alice: Actor):
    old = serving().certificates[0]
    owner.post(CERTIFICATES, {"certificate": certificate("next"), **shown()})

    def send(who: Client, form: dict[str, str]) -> Any:
        try:
            return who.post(CERTIFICATES, {**form, **shown()})
        finally:
            connections.close_all()  # each thread has its own

    with waiting_behind(alice.workspace) as start:
        begun = [
            start(send, owner, {"remove": fingerprint(old)}),
            start(send, other, {"certificate": certificate("other")}),
        ]

    assert [answer.result().status_code for answer in begun] == [302, 302]
    assert set(serving().certificates) == {certificate("next"), certificate("other")}


def test_a_certificate_that_is_gone_is_not_said_to_be_removed(owner: Client, other: Client):
    old = serving().certificates[0]
    owner.post(CERTIFICATES, {"certificate": certificate("next"), **shown()})

    answers: list[Any] = [who.post(CERTIFICATES, {"remove": fingerprint(old), **shown()}) for who in (owner, other)]

    assert [answer.status_code for answer in answers] == [302, 409]
    assert "holds no such certificate any more" in answers[1].content.decode()
    assert other.post(CERTIFICATES, {"remove": "", **shown()}).status_code == 409
    assert serving().certificates == [certificate("next")]


def test_certificates_are_bounded_and_the_last_one_stays(owner: Client):
    answer = owner.post(CERTIFICATES, {"remove": fingerprint(serving().certificates[0]), **shown()})
    assert answer.status_code == 422 and b"Add the next one first." in answer.content

    for number in range(9):
        assert (
            owner.post(CERTIFICATES, {"certificate": certificate("next", 100 + number), **shown()}).status_code == 302
        )
    full = owner.post(CERTIFICATES, {"certificate": certificate("other"), **shown()})

    assert full.status_code == 422 and b"at most 10 certificates" in full.content
    assert len(serving().certificates) == 10


@pytest.mark.parametrize(("leaf", "state"), [("/staged/promote", "staged"), ("/roll-back", "former")])
def test_a_swap_happens_once_however_often_it_is_sent(owner: Client, leaf: str, state: str):
    IdentityProvider.objects.update(tested_at=timezone.now())
    wanted = IdentityProvider.objects.get(state=state).id
    form = hidden_fields(owner.get(f"{PLACE}{leaf}"))

    first, again = (owner.post(f"{PLACE}{leaf}", form) for _ in range(2))

    assert first.status_code == 302 and again.status_code == 409 and serving().id == wanted
    text = again.content.decode()
    assert "This was done already" in text and f'href="{PLACE}">Go to Single sign-on' in text


@pytest.mark.parametrize("leaf", ["/staged/promote", "/staged/discard", "/roll-back", "/delete"])
def test_a_decision_is_about_the_connection_that_was_shown(owner: Client, leaf: str):
    form = hidden_fields(owner.get(f"{PLACE}{leaf}"))
    before = dict(IdentityProvider.objects.values_list("id", "state"))
    others = {"serving": "former", "former": "staged", "staged": "serving"}
    IdentityProvider.objects.update(tested_at=timezone.now(), state=Concat(Value("x"), "state"))
    for identifier, state in before.items():
        IdentityProvider.objects.filter(id=identifier).update(state=others[state])
    now = dict(IdentityProvider.objects.values_list("id", "state"))

    for sent in (form, {**form, "connection": ""}):
        assert owner.post(f"{PLACE}{leaf}", sent).status_code == 409
    assert dict(IdentityProvider.objects.values_list("id", "state")) == now


def test_a_swap_in_a_tab_that_has_lost_its_connection_leads_back(owner: Client):
    IdentityProvider.objects.filter(state="staged").delete()

    answer = owner.get(f"{PLACE}/staged/promote")

    assert answer.status_code == 404 and f'href="{PLACE}">Go to Single sign-on' in answer.content.decode()
