"""A form that makes a secret is sent again: by a reload, by the way back, or many times at once."""

from http.cookies import SimpleCookie

import pytest
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from apikeys.models import ApiKey
from tests.support.cast import PASSWORD, Actor
from tests.support.pages import fill_in, hidden_fields, signed_in
from tests.support.race import at_once

PLACE = "/settings/api-keys"
FACTOR = "/settings/security/second-factor"
NEW = {"name": "CI", "permissions": ["geofences:read"], "expires_in": "never"}
CURRENT = "/api/v1/account/api-keys/current"


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def sent_twice(page: Client, path: str, typed: dict) -> tuple[HttpResponse, HttpResponse]:
    body = hidden_fields(page.get(path)) | typed
    return page.post(path, body), page.post(path, body)


def assert_done_already(answer: HttpResponse) -> None:
    text = answer.content.decode()
    assert answer.status_code == 409 and "This was done already" in text and "shown that once" in text
    assert 'id="api-key"' not in text and 'id="secret"' not in text


def test_a_reload_makes_no_second_key(page: Client):
    first, again = sent_twice(page, f"{PLACE}/new", NEW)

    assert b'id="api-key"' in first.content and ApiKey.objects.count() == 1
    assert_done_already(again)


def test_not_even_once_the_first_is_revoked(page: Client):
    body = hidden_fields(page.get(f"{PLACE}/new")) | NEW
    page.post(f"{PLACE}/new", body)
    page.post(f"{PLACE}/{ApiKey.objects.get().id}/revoke")

    assert_done_already(page.post(f"{PLACE}/new", body))
    assert not ApiKey.objects.filter(revoked_at=None).exists()


def test_what_was_refused_can_be_corrected_and_sent(page: Client):
    body = hidden_fields(page.get(f"{PLACE}/new")) | NEW

    assert page.post(f"{PLACE}/new", {**body, "name": ""}).status_code == 422
    assert b'id="api-key"' in page.post(f"{PLACE}/new", body).content


def test_another_persons_form_and_none_make_no_key(page: Client, bob: Actor):
    of_bob = hidden_fields(signed_in(bob).get(f"{PLACE}/new"))["once"]

    for once in (of_bob, "", "made up"):
        answer = page.post(f"{PLACE}/new", {**hidden_fields(page.get(f"{PLACE}/new")), **NEW, "once": once})
        assert answer.status_code == 409 and b"This form is too old" in answer.content
    assert not ApiKey.objects.exists()


def test_a_reload_replaces_no_secret_again(page: Client, alice: Actor):
    key, old = alice.make_key()

    first, again = sent_twice(page, f"{PLACE}/{key.id}/regenerate", {})

    assert b'id="api-key"' in first.content
    assert_done_already(again)
    assert APIClient(headers={"X-API-KEY": old}).get(CURRENT).status_code == 401
    assert b'id="api-key"' in fill_in(page, f"{PLACE}/{key.id}/regenerate").content  # who has looked again may


def test_a_reload_rotates_nothing_again(page: Client, alice: Actor):
    key, _ = alice.make_key()

    first, again = sent_twice(page, f"{PLACE}/{key.id}/rotate", {"grace_period_days": "3"})

    assert b'id="api-key"' in first.content and ApiKey.objects.count() == 2
    assert_done_already(again)


def test_a_reload_begins_no_second_factor_again(page: Client):
    first, again = sent_twice(page, FACTOR, {"current_password": PASSWORD})

    assert b'id="secret"' in first.content
    kept = User.objects.get(email="alice@acme.test").totp_secret
    assert_done_already(again)
    assert User.objects.get(email="alice@acme.test").totp_secret == kept
    assert b'id="secret"' in fill_in(page, FACTOR, {"current_password": PASSWORD}).content  # begun anew, knowingly


def test_the_api_takes_the_precondition_too(alice: Actor):
    key, _ = alice.make_key()
    path = f"/api/v1/account/api-keys/{key.id}/regenerate?key_prefix={key.prefix}"

    answers = [alice.client.post(path) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 409]
    assert answers[1].json()["error_code"] == "api_key_changed"
    assert alice.client.post(path.split("?")[0]).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", ["new", "regenerate", "rotate", "second-factor"])
def test_of_many_at_once_one_is_carried_out(alice: Actor, act: str):
    key, _ = alice.make_key()
    page = signed_in(alice)
    path = {"new": f"{PLACE}/new", "second-factor": FACTOR}.get(act, f"{PLACE}/{key.id}/{act}")
    body = hidden_fields(page.get(path)) | NEW | {"grace_period_days": "3", "current_password": PASSWORD}

    def send(_: int) -> int:
        tab = Client(headers={"user-agent": "Firefox"})
        tab.cookies = SimpleCookie({name: cookie.value for name, cookie in page.cookies.items()})
        try:
            return tab.post(path, body).status_code
        finally:
            connections.close_all()  # each thread has its own

    statuses = at_once(8 if act != "second-factor" else 4, send)

    assert sorted(statuses) == [200, *[409] * (len(statuses) - 1)]
