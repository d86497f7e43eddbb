"""Trading the login code at the end of a browser's sign-in: once, by whoever holds the verifier, within a minute."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, SignIn, User
from accounts.operations import reinstate_user, reinstate_workspace, suspend_user, suspend_workspace
from accounts.throttles import SECOND_FACTOR
from sso.login_codes import challenge_of
from sso.models import LoginCode
from tests.support.cast import PASSWORD, Actor
from tests.support.oauth import CLIENT_STATE, VERIFIER, exchange
from tests.support.race import at_once, call
from tests.support.totp import enrol

pytestmark = pytest.mark.django_db

INVALID = {
    "detail": "This login code is invalid, expired or already used. Begin the sign-in again.",
    "error_code": "invalid_login_code",
}


def code_of(person: Actor) -> str:
    """Return a login code of a person who has just come back from Google."""
    UserSocialAuth.objects.get_or_create(user=person.user, provider="google", uid=str(person.user.id))
    return LoginCode.objects.issue(
        user_id=person.user.id,
        workspace_id=person.workspace.id,
        provider="google",
        code_challenge=challenge_of(VERIFIER),
        client_state=CLIENT_STATE,
    )


def test_a_code_is_traded_for_a_pair(anyone: APIClient, bob: Actor):
    response = exchange(anyone, code_of(bob))

    body = response.json()
    assert response.status_code == 200
    assert (body["created"], body["user"]["email"], body["user"]["workspace_role"]) == (
        False,
        bob.user.email,
        "field_worker",
    )
    assert response.cookies["spatialflow_refresh"]["samesite"] == "Strict"
    assert SignIn.objects.filter(user=bob.user, method="google").count() == 1
    assert AuditEvent.objects.filter(action="auth.signed_in", actor_id=bob.user.id).latest("sequence").description == (
        "Signed in by google."
    )


@pytest.mark.parametrize(
    ("changed", "error_code"),
    [
        ({"code_verifier": VERIFIER + "x"}, "pkce_failed"),
        ({"code_verifier": challenge_of(VERIFIER)}, "pkce_failed"),
        ({"code_verifier": "é" * 43}, "pkce_failed"),
        ({"state": "another"}, "state_mismatch"),
        ({"state": CLIENT_STATE.upper()}, "state_mismatch"),
    ],
)
def test_whoever_did_not_begin_spends_the_code_for_nothing(anyone: APIClient, bob: Actor, changed, error_code):
    code = code_of(bob)

    response = exchange(anyone, code, **changed)

    assert (response.status_code, response.json()["error_code"]) == (400, error_code)
    assert LoginCode.objects.count() == 0
    assert (exchange(anyone, code).status_code, exchange(anyone, code).json()) == (401, INVALID)
    event = AuditEvent.objects.get(action="auth.sign_in_failed")
    assert (event.target_id, event.changes) == (bob.user.id, {"provider": "google", "reason": error_code})
    assert SignIn.objects.filter(method="google").count() == 0


def test_a_code_works_once_and_within_a_minute(anyone: APIClient, bob: Actor):
    spent, expired = code_of(bob), code_of(bob)
    assert exchange(anyone, spent).status_code == 200
    assert LoginCode.objects.get().expires_at - timezone.now() <= timedelta(seconds=60)
    LoginCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    for code in (spent, expired, "unknown", "é", "x" * 1000):
        response = exchange(anyone, code)
        assert (response.status_code, response.json()) == (401, INVALID)
        assert response["WWW-Authenticate"]


@pytest.mark.parametrize("binds_again", [False, True])
def test_a_code_ends_with_the_identity_that_it_came_by(anyone: APIClient, bob: Actor, binds_again: bool):
    code, other = code_of(bob), code_of(bob)
    assert exchange(anyone, other).status_code == 200
    UserSocialAuth.objects.all().delete()
    if binds_again:
        UserSocialAuth.objects.create(user=bob.user, provider="google", uid="another")

    answer = exchange(anyone, code)

    assert (answer.status_code, answer.json()) == (401, INVALID)


def test_a_person_who_may_not_come_in_any_more_does_not(anyone: APIClient, bob: Actor):
    codes = [code_of(bob) for _ in range(4)]
    assert exchange(anyone, codes.pop()).status_code == 200

    User.objects.filter(id=bob.user.id).update(is_active=False)
    assert exchange(anyone, codes.pop()).json() == INVALID
    User.objects.filter(id=bob.user.id).update(is_active=True)
    type(bob.workspace).objects.update(suspended_at=timezone.now())
    assert exchange(anyone, codes.pop()).json() == INVALID
    type(bob.workspace).objects.update(suspended_at=None)
    bob.membership.delete()
    assert exchange(anyone, codes.pop()).json() == INVALID
    assert LoginCode.objects.count() == 0


@pytest.mark.parametrize(
    "ending", ["revoke others", "log out", "change the password", "suspend", "suspend the workspace", "end everybody's"]
)
def test_whoever_ends_their_sign_ins_ends_what_is_about_to_be_one(anyone: APIClient, alice: Actor, bob: Actor, ending):
    code, bobs = code_of(alice), code_of(bob)
    passwords = {"current_password": PASSWORD, "new_password": "another horse, another staple"}
    {
        "revoke others": lambda: alice.client.post("/api/v1/auth/sessions/revoke-others"),
        "log out": lambda: alice.client.post("/api/v1/auth/logout"),
        "change the password": lambda: alice.client.post("/api/v1/auth/change-password", passwords, format="json"),
        "suspend": lambda: (suspend_user(alice.user), reinstate_user(alice.user)),
        "suspend the workspace": lambda: (suspend_workspace(alice.workspace), reinstate_workspace(alice.workspace)),
        "end everybody's": lambda: alice.client.post("/api/v1/workspaces/revoke-all-sessions"),
    }[ending]()

    assert exchange(anyone, code).json() == INVALID
    assert exchange(anyone, bobs).status_code == (401 if "workspace" in ending or "everybody" in ending else 200)


def test_beyond_the_codes_of_a_second_factor_each_trade_counts(anyone: APIClient, bob: Actor, standing_clock):
    enrol(bob)
    for _ in range(20):
        SECOND_FACTOR.has_room(str(bob.user.id))

    refused = exchange(anyone, code_of(bob), otp="wrong")

    assert (refused.status_code, refused["RateLimit-Limit"]) == (429, "20")
    assert exchange(anyone, "unknown")["RateLimit-Remaining"] == "58"


@pytest.mark.parametrize("odd", [None, 1, [], {}, "", "a\0b", "x" * 100_000])
@pytest.mark.parametrize("field", ["code", "code_verifier", "state"])
def test_odd_values_are_validation_errors(anyone: APIClient, db: None, field, odd):
    body = {"code": "unknown", "code_verifier": VERIFIER, "state": CLIENT_STATE}

    response = anyone.post("/api/v1/auth/sso/exchange", body | {field: odd}, format="json")

    assert response.json()["error_code"] == ("malformed_json" if odd == "a\0b" else "validation_error")


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_at_once_one_gets_the_pair(server, bob: Actor):
    body = {"code": code_of(bob), "code_verifier": VERIFIER, "state": CLIENT_STATE}

    answers = at_once(16, lambda _: call(server, "POST", "/api/v1/auth/sso/exchange", body))

    assert sorted(answer.status for answer in answers) == [200] + [401] * 15
    assert SignIn.objects.filter(method="google").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_a_right_and_fifteen_wrong_at_once_at_most_one_touches_the_code(server, bob: Actor):
    right = {"code": code_of(bob), "code_verifier": VERIFIER, "state": CLIENT_STATE}
    wrong = right | {"code_verifier": "x" * 43}

    answers = at_once(16, lambda i: call(server, "POST", "/api/v1/auth/sso/exchange", wrong if i else right))

    assert sum(answer.status in (200, 400) for answer in answers) == 1
    assert LoginCode.objects.count() == 0


def test_trades_are_limited_by_address(anyone: APIClient, db: None):
    assert [exchange(anyone, "unknown").status_code for _ in range(61)] == [401] * 60 + [429]
