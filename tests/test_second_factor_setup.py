"""The second factor is set up, renewed and taken away; and the workspace that requires one."""

from django.core import mail

from accounts.models import AuditEvent, RecoveryCode, User, Workspace
from accounts.outbox import deliver_pending
from spatialflow.encryption import decrypt
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.second_factor import (
    CODES,
    CONFIRM,
    REFUSED,
    early_in_a_half_minute,  # noqa: F401
    log_in,
    post,
)
from tests.support.totp import TOTP, code, enrol


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
