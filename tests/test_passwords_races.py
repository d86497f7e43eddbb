"""Replacing a password while others replace it or sign in: one wins, and nothing of the old one goes on."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from accounts.models import MailedToken, SignIn, User
from accounts.password_changes import reset_password
from accounts.principal import Client
from tests.support.cast import PASSWORD
from tests.support.passwords import CHANGE, CONFIRM, LOGIN, NEW, mailed_secret
from tests.support.race import Answer, at_once, call, start_to_wait


@pytest.mark.django_db(transaction=True)
def test_of_confirmations_of_one_link_at_once_one_wins(server, alice):
    secret = mailed_secret(alice)
    passwords = [f"the password of caller {index}" for index in range(5)]

    answers = at_once(5, lambda n: call(server, "POST", CONFIRM, {"token": secret, "password": passwords[n]}))

    assert Counter(answer.status for answer in answers) == {200: 1, 400: 4}
    winner = next(index for index, answer in enumerate(answers) if answer.status == 200)
    assert User.objects.get().check_password(passwords[winner])


@pytest.mark.django_db(transaction=True)
def test_of_changes_at_once_one_wins(server, alice):
    passwords = [f"the password of caller {index}" for index in range(6)]
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    def act(n: int) -> Answer:
        return call(server, "POST", CHANGE, {"current_password": PASSWORD, "new_password": passwords[n]}, headers)

    answers = at_once(6, act)

    assert Counter(answer.status for answer in answers) == {200: 1, 400: 5}
    winner = next(index for index, answer in enumerate(answers) if answer.status == 200)
    assert User.objects.get().check_password(passwords[winner])


@pytest.mark.django_db(transaction=True)
def test_a_login_by_the_old_password_cannot_overtake_its_reset(server, alice):
    """The login has checked the old password, and the reset has ended every sign-in, before either is done."""
    secret = mailed_secret(alice)
    login = {"email": alice.user.email, "password": PASSWORD}
    assert call(server, "POST", LOGIN, login).status == 200

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            reset_password(Client("192.0.2.1", ""), secret, NEW)
            answer = start_to_wait(pool, call, server, "POST", LOGIN, login)
        refused = answer.result()

    assert (refused.status, refused.body["error_code"]) == (401, "invalid_credentials")
    assert SignIn.objects.live().count() == 0
    assert call(server, "POST", LOGIN, login | {"password": NEW}).status == 200


@pytest.mark.django_db(transaction=True)
def test_after_a_reset_amid_logins_nothing_of_the_old_password_lives(server, alice):
    secret = mailed_secret(alice)
    login = {"email": alice.user.email, "password": PASSWORD}

    def act(n: int) -> Answer:
        if n == 0:
            return call(server, "POST", CONFIRM, {"token": secret, "password": NEW})
        return call(server, "POST", LOGIN, login)

    answers = at_once(12, act)

    assert answers[0].status == 200
    assert {answer.status for answer in answers[1:]} <= {200, 401}
    assert SignIn.objects.live().count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_change_of_address_asked_for_with_the_old_password_cannot_overtake_its_reset(server, alice):
    secret = mailed_secret(alice)
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}
    body = {"new_email": "thief@evil.test", "current_password": PASSWORD}

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            reset_password(Client("192.0.2.1", ""), secret, NEW)
            answer = start_to_wait(pool, call, server, "POST", "/api/v1/auth/change-email", body, headers)
        refused = answer.result()

    assert (refused.status, refused.body["error_code"]) == (400, "wrong_password")
    assert MailedToken.objects.count() == 0
