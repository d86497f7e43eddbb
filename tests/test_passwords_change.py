"""Replacing a password by whoever knows it: the old one works no more, nor what else it began."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent, OutgoingMail
from tests.support.cast import PASSWORD, bearer
from tests.support.mails import delivered, delivered_to
from tests.support.passwords import CHANGE, INVALID_LINK, NEW, confirm, log_in, mailed_secret


def change(client: APIClient, current: Any = PASSWORD, new: Any = NEW) -> Any:
    return client.post(CHANGE, {"current_password": current, "new_password": new}, format="json")


def test_a_change_keeps_this_sign_in_and_ends_the_others(anyone, alice):
    elsewhere = alice.sign_in_again()
    delivered()

    response = change(alice.client)

    assert (response.status_code, response.json()) == (
        200,
        {"message": "Your password is changed. Your other devices are signed out.", "success": True},
    )
    assert delivered_to("alice@acme.test").subject == "Your password was changed"
    assert alice.client.get("/api/v1/auth/me").status_code == 200
    assert bearer(elsewhere.access_token).get("/api/v1/auth/me").status_code == 401
    refreshed = anyone.post("/api/v1/auth/refresh", {"refresh_token": alice.pair.refresh_token}, format="json")
    assert refreshed.status_code == 200
    assert (log_in(anyone, PASSWORD), log_in(anyone, NEW)) == (401, 200)
    event = AuditEvent.objects.get(action="account.password_changed")
    assert (event.actor_id, event.workspace_id, event.changes) == (
        alice.user.id,
        alice.workspace.id,
        {"sign_ins_ended": 1},
    )


@pytest.mark.parametrize("current", [PASSWORD + "!", "", "x" * 5000, PASSWORD.upper()])
def test_a_wrong_current_password_changes_nothing(alice, current):
    elsewhere = alice.sign_in_again()

    response = change(alice.client, current)

    if current:
        assert (response.status_code, response.json()) == (
            400,
            {"detail": "The current password is wrong.", "error_code": "wrong_password"},
        )
    else:
        assert response.status_code == 422
    assert bearer(elsewhere.access_token).get("/api/v1/auth/me").status_code == 200
    assert OutgoingMail.objects.filter(kind="password_changed").count() == 0
    assert change(alice.client).status_code == 200


def test_a_weak_new_password_is_refused(anyone, alice):
    response = change(alice.client, new="alice@acme.test")

    assert (response.status_code, list(response.json()["details"])) == (422, ["new_password"])
    assert log_in(anyone, PASSWORD) == 200


@pytest.mark.parametrize("field", ["current_password", "new_password"])
@pytest.mark.parametrize("value", [None, ["x"], {"a": 1}, True])
def test_a_password_of_another_type_is_named(alice, field, value):
    body = {"current_password": PASSWORD, "new_password": NEW, field: value}

    response = alice.client.post(CHANGE, body, format="json")

    assert (response.status_code, list(response.json()["details"])) == (422, [field])


def test_keys_and_strangers_change_no_password(anyone, alice, acme_key):
    assert change(anyone).status_code == 401
    assert change(acme_key()).status_code == 403
    assert change(alice.client).status_code == 200


def test_a_change_makes_outstanding_links_worthless(anyone, alice):
    reset, move = mailed_secret(alice), mailed_secret(alice, "change_email")

    change(alice.client)

    assert confirm(anyone, reset).json() == INVALID_LINK
    moved = anyone.post("/api/v1/auth/change-email/confirm", {"token": move}, format="json")
    assert moved.json() == INVALID_LINK


def test_fifteen_tries_an_hour_at_ones_own_password(alice, bob):
    statuses = [change(alice.client, "wrong").status_code for _ in range(15)]

    refused = change(alice.client)

    assert statuses == [400] * 15
    assert (refused.status_code, refused.json()["limit"]) == (429, 15)
    assert change(bob.client).status_code == 200
