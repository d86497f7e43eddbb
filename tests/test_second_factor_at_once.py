"""The second factor when many requests come at once: one code, one set-up and one set of recovery codes count."""

import time
from collections import Counter

import pytest

from accounts.models import RecoveryCode, SignIn
from accounts.tokens import AccessToken
from tests.support.cast import PASSWORD
from tests.support.race import at_once, call
from tests.support.second_factor import (
    CODES,
    CONFIRM,
    LOGIN,
    early_in_a_half_minute,  # noqa: F401
    post,
)
from tests.support.totp import TOTP, code, enrol


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["code", "recovery code"])
def test_of_the_same_code_at_once_one_signs_in(server, alice, kind):
    secret, codes = enrol(alice)
    otp = code(secret) if kind == "code" else codes[0]
    body = {"email": alice.user.email, "password": PASSWORD, "otp": otp}

    answers = at_once(8, lambda _: call(server, "POST", LOGIN, body))

    assert Counter(answer.status for answer in answers) == {200: 1, 401: 7}
    assert {answer.body["error_code"] for answer in answers if answer.status == 401} == {"invalid_otp"}
    winner = next(answer for answer in answers if answer.status == 200)
    new = SignIn.objects.filter(user=alice.user).exclude(id=alice.sign_in_id)
    assert [sign_in.id for sign_in in new] == [AccessToken.read(winner.body["access_token"]).sid]


@pytest.mark.django_db(transaction=True)
def test_of_confirmations_at_once_one_gives_codes_and_they_work(server, alice):
    secret = post(alice.client, TOTP, current_password=PASSWORD).json()["secret"]
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answers = at_once(6, lambda _: call(server, "POST", CONFIRM, {"otp": code(secret)}, headers))

    assert Counter(answer.status for answer in answers)[200] == 1
    assert {answer.status for answer in answers} <= {200, 400, 409}
    assert RecoveryCode.objects.filter(user=alice.user).count() == 10
    codes = next(answer for answer in answers if answer.status == 200).body["recovery_codes"]
    answer = call(server, "POST", LOGIN, {"email": alice.user.email, "password": PASSWORD, "otp": codes[9]})
    assert answer.status == 200


@pytest.mark.django_db(transaction=True)
def test_of_replacements_at_once_one_set_remains(server, alice):
    _, codes = enrol(alice)
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    def replace(index: int):
        return call(server, "POST", CODES, {"current_password": PASSWORD, "otp": codes[index]}, headers)

    answers = at_once(5, replace)

    assert {answer.status for answer in answers} <= {200, 400}  # a code that another's replacement took is wrong
    assert RecoveryCode.objects.filter(user=alice.user).count() == 10


@pytest.mark.django_db(transaction=True)
def test_no_sign_in_by_the_password_alone_outlives_the_set_up(server, alice):
    """A login that had checked the password just before must not slip in behind the end of the other sign-ins."""
    secret = post(alice.client, TOTP, current_password=PASSWORD).json()["secret"]
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}
    body = {"email": alice.user.email, "password": PASSWORD}

    def act(index: int):
        if index == 3:
            time.sleep(0.1)  # about when the logins have checked their passwords
            return call(server, "POST", CONFIRM, {"otp": code(secret)}, headers)
        return call(server, "POST", LOGIN, body)

    answers = at_once(8, act)

    assert answers.pop(3).status == 200
    assert {answer.status for answer in answers} <= {200, 401}
    live = SignIn.objects.live().filter(user=alice.user)
    assert list(live.values_list("id", flat=True)) == [alice.sign_in_id]
