"""The second factor at login: demanded, each code once, and a recovery code in its stead."""

import pytest
from django.core import mail
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts import login
from accounts.models import AuditEvent, RecoveryCode, SignIn
from accounts.outbox import deliver_pending
from accounts.throttles import SECOND_FACTOR
from spatialflow.errors import ApiError
from tests.support.cast import PASSWORD, bearer
from tests.support.second_factor import (
    CONFIRM,
    LOGIN,
    REFUSED,
    REQUIRED,
    early_in_a_half_minute,  # noqa: F401
    log_in,
    post,
)
from tests.support.totp import TOTP, code, enrol


def test_login_wants_the_code(alice, anyone):
    secret, _ = enrol(alice)

    without = log_in(anyone, alice)
    wrong = log_in(anyone, alice, otp="000000" if code(secret) != "000000" else "000001")
    right = log_in(anyone, alice, otp=code(secret))

    assert (without.status_code, without.json()) == (401, REQUIRED)
    assert (wrong.status_code, wrong.json()) == (401, REFUSED)
    assert wrong["WWW-Authenticate"].startswith("Bearer")
    assert right.status_code == 200
    assert bearer(right.json()["access_token"]).get("/api/v1/auth/me").status_code == 200


@pytest.mark.parametrize("otp", [{}, {"otp": None}, {"otp": ""}, {"otp": "  "}])
def test_no_code_is_no_code_however_it_is_said(alice, anyone, otp):
    enrol(alice)

    assert log_in(anyone, alice, **otp).json() == REQUIRED


def test_a_wrong_password_never_tells_that_there_is_a_factor(alice, bob, anyone):
    secret, codes = enrol(alice)
    spent = SignIn.objects.count()

    answers = [
        log_in(anyone, alice, "wrong password"),
        log_in(anyone, alice, "wrong password", otp="123456"),
        log_in(anyone, alice, "wrong password", otp=code(secret)),
        log_in(anyone, alice, "wrong password", otp=codes[0]),
        log_in(anyone, bob, "wrong password"),
        post(anyone, LOGIN, email="nobody@acme.test", password="wrong password", otp="123456"),
    ]

    assert {answer.content for answer in answers} == {
        b'{"detail":"Invalid credentials","error_code":"invalid_credentials"}'
    }
    assert SignIn.objects.count() == spent
    assert log_in(anyone, alice, otp=code(secret)).status_code == 200, "a code behind a wrong password is not spent"


def test_a_code_works_once(alice, anyone):
    secret, _ = enrol(alice)
    now = code(secret)

    assert log_in(anyone, alice, otp=now).status_code == 200
    assert log_in(anyone, alice, otp=now).json() == REFUSED
    assert log_in(anyone, alice, otp=code(secret, -1)).json() == REFUSED, "nor does an earlier one afterwards"


def test_the_code_that_confirmed_it_does_not_sign_in(alice, anyone):
    secret = post(alice.client, TOTP, current_password=PASSWORD).json()["secret"]
    now = code(secret)
    post(alice.client, CONFIRM, otp=now)

    assert log_in(anyone, alice, otp=now).json() == REFUSED


@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (0, 200), (1, 200), (3, 401)])
def test_clocks_may_differ_by_half_a_minute(alice, anyone, steps, status):
    secret, _ = enrol(alice)

    assert log_in(anyone, alice, otp=code(secret, steps)).status_code == status


def test_blanks_in_a_code_do_not_matter(alice, anyone):
    secret, _ = enrol(alice)
    now = code(secret)

    assert log_in(anyone, alice, otp=f" {now[:3]} {now[3:]} ").status_code == 200


@pytest.mark.parametrize("otp", ["12345", "1234567", "abcdef", "١٢٣٤٥٦", "é" * 100, "null"])
def test_nonsense_is_a_wrong_code(alice, anyone, otp):
    enrol(alice)

    answer = log_in(anyone, alice, otp=otp)

    assert (answer.status_code, answer.json()) == (401, REFUSED)


@pytest.mark.parametrize("otp", [123456, ["123456"], {"code": "123456"}, True, "1" * 101])
def test_a_code_of_another_type_is_no_crash(alice, anyone, otp):
    enrol(alice)

    assert log_in(anyone, alice, otp=otp).status_code in (401, 422)


def test_a_recovery_code_stands_in_once(alice, anyone):
    _, codes = enrol(alice)

    first = log_in(anyone, alice, otp=codes[0])
    again = log_in(anyone, alice, otp=codes[0])
    shouted = log_in(anyone, alice, otp=f" {codes[1].upper().replace('-', ' ')} ")

    assert (first.status_code, again.status_code, shouted.status_code) == (200, 401, 200)
    assert RecoveryCode.objects.filter(user=alice.user).count() == 8
    assert AuditEvent.objects.filter(action="account.recovery_code_used", actor_id=alice.user.id).count() == 2
    deliver_pending()
    assert [told.subject for told in mail.outbox].count("A recovery code was used") == 2


def test_somebody_elses_recovery_code_is_a_wrong_code(alice, bob, anyone):
    enrol(alice)
    _, his = enrol(bob)

    assert log_in(anyone, alice, otp=his[0]).json() == REFUSED
    assert log_in(anyone, bob, otp=his[0]).status_code == 200


def test_a_refused_code_is_in_the_trail(alice, anyone):
    enrol(alice)

    log_in(anyone, alice, otp="wrong")

    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.description) == ("auth.sign_in_failed", "Second factor refused.")
    assert event.target_id == alice.user.id


def test_twenty_codes_an_hour_are_looked_at(alice):
    secret, _ = enrol(alice)

    def attempt(otp: str) -> str:
        try:
            login.log_in(Request(APIRequestFactory().post(LOGIN)), alice.user.email, PASSWORD, otp)
        except ApiError as refusal:
            return str(refusal.get_codes())
        return "signed in"

    assert [attempt("wrong") for _ in range(20)] == ["invalid_otp"] * 20
    assert attempt(code(secret)) == "rate_limited"
    assert attempt("") == "otp_required"


def test_beyond_its_codes_an_account_is_limited_like_any_other(alice, anyone):
    """Each of these passwords is hashed, however many codes were sent before."""
    enrol(alice)
    for _ in range(20):
        SECOND_FACTOR.has_room(str(alice.user.id))

    answers = [log_in(anyone, alice, otp="wrong") for _ in range(16)]

    assert [(answer.status_code, answer["RateLimit-Limit"]) for answer in answers] == [(429, "20")] * 15 + [(429, "15")]
