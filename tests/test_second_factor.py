"""The second factor: set up, demanded at login, each code once, taken away; and the workspace that requires one."""

import time
from collections import Counter

import pytest
from django.core import mail
from rest_framework.request import Request
from rest_framework.test import APIClient, APIRequestFactory

from accounts import login
from accounts.models import AuditEvent, RecoveryCode, SignIn, User, Workspace
from accounts.outbox import deliver_pending
from accounts.tokens import AccessToken
from spatialflow.encryption import decrypt
from spatialflow.errors import ApiError
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.race import at_once, call
from tests.support.totp import TOTP, code, enrol, wait_for_an_early_moment

LOGIN = "/api/v1/auth/login"
CONFIRM = f"{TOTP}/confirm"
CODES = f"{TOTP}/recovery-codes"
REQUIRED = {
    "detail": "This account has a second factor: send its code, or a recovery code, as otp.",
    "error_code": "otp_required",
}
REFUSED = {
    "detail": "This code is wrong, expired or already used. Wait for the next one.",
    "error_code": "invalid_otp",
}


def post(client: APIClient, path: str, **body: object):
    return client.post(path, body, format="json")


@pytest.fixture(autouse=True)
def early_in_a_half_minute() -> None:
    wait_for_an_early_moment()


def log_in(anyone: APIClient, actor: Actor, password: str = PASSWORD, **otp: object):
    return post(anyone, LOGIN, email=actor.user.email, password=password, **otp)


def test_it_is_set_up_in_two_steps(alice: Actor):
    begun = post(alice.client, TOTP, current_password=PASSWORD)

    secret = begun.json()["secret"]
    assert begun.status_code == 200
    uri = f"otpauth://totp/SpatialFlow:alice%40acme.test?secret={secret}&issuer=SpatialFlow"
    assert begun.json() == {"secret": secret, "otpauth_uri": uri}
    alice.user.refresh_from_db()
    assert (decrypt(alice.user.totp_secret), alice.user.has_second_factor) == (secret, False)
    assert secret not in alice.user.totp_secret

    confirmed = post(alice.client, CONFIRM, otp=code(secret))

    codes = confirmed.json()["recovery_codes"]
    assert confirmed.status_code == 200
    assert confirmed.json() == {
        "message": "Second factor enabled. Keep these recovery codes: they are not shown again.",
        "recovery_codes": codes,
    }
    assert len(set(codes)) == 10 and all(len(one) == 19 for one in codes)
    assert alice.client.get("/api/v1/account/me").json()["second_factor_enabled"] is True
    stored = {bytes(row.digest) for row in RecoveryCode.objects.filter(user=alice.user)}
    assert len(stored) == 10 and not stored & {one.encode() for one in codes}
    assert AuditEvent.objects.latest("sequence").action == "account.second_factor_enabled"


def test_until_it_is_confirmed_it_counts_for_nothing(alice, anyone):
    post(alice.client, TOTP, current_password=PASSWORD)

    assert log_in(anyone, alice).status_code == 200


def test_it_ends_the_other_sign_ins_and_is_told_by_mail(alice):
    other = alice.sign_in_again()

    enrol(alice)

    assert bearer(other.access_token).get("/api/v1/auth/me").status_code == 401
    assert alice.client.get("/api/v1/auth/me").status_code == 200
    deliver_pending()
    told = mail.outbox[-1]
    assert (told.to, told.subject) == (["alice@acme.test"], "Your second factor is set up")


def test_beginning_wants_the_password(alice, anyone):
    pair = alice.sign_in_again()

    refused = post(bearer(pair.access_token), TOTP, current_password="wrong password")

    assert refused.status_code == 400
    assert refused.json() == {"detail": "The current password is wrong.", "error_code": "wrong_password"}
    assert User.objects.get(id=alice.user.id).totp_secret == ""


def test_beginning_anew_replaces_what_is_pending(alice):
    first = post(alice.client, TOTP, current_password=PASSWORD).json()["secret"]
    second = post(alice.client, TOTP, current_password=PASSWORD).json()["secret"]

    assert post(alice.client, CONFIRM, otp=code(first)).json() == REFUSED
    assert post(alice.client, CONFIRM, otp=code(second)).status_code == 200


def test_what_is_set_up_is_not_set_up_again(alice):
    secret, _ = enrol(alice)
    before = User.objects.get(id=alice.user.id)

    begun = post(alice.client, TOTP, current_password=PASSWORD)
    confirmed = post(alice.client, CONFIRM, otp=code(secret, 1))

    assert {answer.status_code for answer in (begun, confirmed)} == {409}
    assert {answer.json()["error_code"] for answer in (begun, confirmed)} == {"second_factor_enabled"}
    assert User.objects.get(id=alice.user.id).totp_secret == before.totp_secret


def test_confirming_what_was_not_begun(alice):
    answer = post(alice.client, CONFIRM, otp="123456")

    assert (answer.status_code, answer.json()["error_code"]) == (409, "no_second_factor")


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


def test_taking_it_away_wants_both_factors(alice, anyone):
    secret, _ = enrol(alice)
    other = log_in(anyone, alice, otp=code(secret)).json()

    wrong_password = alice.client.delete(TOTP, {"current_password": "x", "otp": code(secret, 1)}, format="json")
    wrong_code = alice.client.delete(TOTP, {"current_password": PASSWORD, "otp": "123"}, format="json")
    nothing = alice.client.delete(TOTP)

    assert (wrong_password.status_code, wrong_password.json()["error_code"]) == (400, "wrong_password")
    assert (wrong_code.status_code, wrong_code.json()) == (400, REFUSED)
    assert (nothing.status_code, sorted(nothing.json()["details"])) == (422, ["current_password", "otp"])
    assert User.objects.get(id=alice.user.id).has_second_factor

    right = alice.client.delete(TOTP, {"current_password": PASSWORD, "otp": code(secret, 1)}, format="json")

    assert (right.status_code, right.content) == (204, b"")
    user = User.objects.get(id=alice.user.id)
    assert (user.totp_secret, user.totp_confirmed_at, user.recovery_codes.count()) == ("", None, 0)
    assert bearer(other["access_token"]).get("/api/v1/auth/me").status_code == 401
    assert log_in(anyone, alice).status_code == 200
    assert AuditEvent.objects.filter(action="account.second_factor_disabled").count() == 1
    deliver_pending()
    assert "Your second factor was removed" in [told.subject for told in mail.outbox]


def test_a_recovery_code_takes_it_away_too(alice):
    _, codes = enrol(alice)

    answer = alice.client.delete(TOTP, {"current_password": PASSWORD, "otp": codes[3]}, format="json")

    assert answer.status_code == 204
    again = alice.client.delete(TOTP, {"current_password": PASSWORD, "otp": codes[3]}, format="json")
    assert (again.status_code, again.json()["error_code"]) == (409, "no_second_factor")


def test_new_recovery_codes_replace_the_old(alice, anyone):
    secret, old = enrol(alice)

    refused = post(alice.client, CODES, current_password=PASSWORD, otp="123")
    answer = post(alice.client, CODES, current_password=PASSWORD, otp=code(secret))

    new = answer.json()["recovery_codes"]
    assert (refused.status_code, answer.status_code) == (400, 200)
    assert len(new) == 10 and not set(new) & set(old)
    assert log_in(anyone, alice, otp=old[0]).json() == REFUSED
    assert log_in(anyone, alice, otp=new[0]).status_code == 200
    assert AuditEvent.objects.filter(action="account.recovery_codes_replaced").count() == 1


def test_fifteen_tries_an_hour_at_ones_own_password(alice):
    statuses = [post(alice.client, TOTP, current_password="wrong").status_code for _ in range(16)]

    assert statuses == [400] * 15 + [429]
    assert post(alice.client, CONFIRM, otp="123456").status_code == 429


def test_a_key_sets_up_nothing(acme_key):
    key = acme_key()

    answers = [post(key, TOTP, current_password=PASSWORD), post(key, CONFIRM, otp="1"), post(key, CODES)]

    assert {answer.status_code for answer in [*answers, key.delete(TOTP)]} == {403}


def test_a_workspace_can_require_one(alice, bob, anyone):
    Workspace.objects.filter(id=bob.workspace.id).update(requires_second_factor=True)

    shut_out = bob.client.get("/api/v1/geofences/")

    assert shut_out.status_code == 403
    assert shut_out.json() == {
        "detail": "This workspace requires a second factor. Set one up with POST /api/v1/auth/totp first.",
        "error_code": "second_factor_required",
    }
    assert bob.client.get("/api/v1/account/me").json()["second_factor_enabled"] is False
    secret, _ = enrol(bob)
    assert bob.client.get("/api/v1/geofences/").status_code == 200
    with_code = log_in(anyone, bob, otp=code(secret)).json()
    assert bearer(with_code["access_token"]).get("/api/v1/geofences/").status_code == 200

    bob.client.delete(TOTP, {"current_password": PASSWORD, "otp": code(secret, 1)}, format="json")

    assert bob.client.get("/api/v1/geofences/").json()["error_code"] == "second_factor_required"


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
