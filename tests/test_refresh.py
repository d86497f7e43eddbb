"""Rotation, the lost reply, and reuse."""

import uuid
from datetime import timedelta

import jwt
import pytest
from django.db.models import F
from django.utils import timezone

from accounts.models import SignIn, User
from accounts.tokens import AccessToken, RefreshToken
from tests.support.cast import Actor, bearer

REFRESH = "/api/v1/auth/refresh"
BAD = {"detail": "Invalid or expired token", "error_code": "invalid_token"}


def refresh(anyone, token: str, path: str = REFRESH):
    return anyone.post(path, {"refresh_token": token}, format="json")


def later(alice: Actor, **ago: float) -> None:
    """Let time pass for Alice's sign-in: its last rotation was that long ago."""
    SignIn.objects.filter(id=alice.sign_in_id).update(rotated_at=F("rotated_at") - timedelta(**ago))


def live(token: str) -> bool:
    return bearer(token).get("/api/v1/auth/me").status_code == 200


@pytest.mark.parametrize("path", [REFRESH, REFRESH + "/"])
def test_the_pages_example(anyone, alice, path):
    response = refresh(anyone, alice.pair.refresh_token, path)

    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"access_token", "refresh_token", "expires_in", "token_type", "user"}
    assert body["refresh_token"] != alice.pair.refresh_token
    assert (body["expires_in"], body["token_type"], body["user"]["email"]) == (14400, "Bearer", "alice@acme.test")
    assert live(body["access_token"])
    assert SignIn.objects.count() == 1  # one row a sign-in, not one a rotation


def test_who_is_signed_in_is_told_as_everywhere_else(anyone, alice):
    User.objects.filter(id=alice.user.id).update(company="Acme", name="Alice")

    first = refresh(anyone, alice.pair.refresh_token).json()
    User.objects.filter(id=alice.user.id).update(company="")
    again = refresh(anyone, alice.pair.refresh_token).json()

    me = bearer(again["access_token"]).get("/api/v1/auth/me").json()
    assert again["user"] == me
    assert first["user"] == {**me, "company": "Acme"}


def test_a_lost_reply_gets_the_same_successor(anyone, alice):
    first = refresh(anyone, alice.pair.refresh_token).json()
    later(alice, seconds=8)

    again = refresh(anyone, alice.pair.refresh_token)

    sign_in = SignIn.objects.get(id=alice.sign_in_id)
    assert again.status_code == 200
    assert RefreshToken.read(again.json()["refresh_token"]).jti == sign_in.current_jti
    assert RefreshToken.read(first["refresh_token"]).jti == sign_in.current_jti
    assert live(again.json()["access_token"])


def test_the_same_successor_is_the_same_to_the_byte(anyone, alice):
    first = refresh(anyone, alice.pair.refresh_token).json()
    again = refresh(anyone, alice.pair.refresh_token).json()

    assert again["refresh_token"] == first["refresh_token"]


def test_a_retired_token_after_the_grace_ends_the_sign_in(anyone, alice):
    successor = refresh(anyone, alice.pair.refresh_token).json()
    later(alice, seconds=11)

    reused = refresh(anyone, alice.pair.refresh_token)

    assert (reused.status_code, reused.json()) == (401, BAD)
    sign_in = SignIn.objects.get(id=alice.sign_in_id)
    assert sign_in.revoked_at is not None
    assert sign_in.revoked_reason == "refresh_reuse"
    assert refresh(anyone, successor["refresh_token"]).json() == BAD  # the thief's token and the victim's
    assert not live(successor["access_token"])


def test_a_parent_whose_child_was_used_is_reuse_at_once(anyone, alice):
    child = refresh(anyone, alice.pair.refresh_token).json()["refresh_token"]
    grandchild = refresh(anyone, child).json()["refresh_token"]

    assert refresh(anyone, alice.pair.refresh_token).json() == BAD
    assert refresh(anyone, grandchild).json() == BAD


def test_rotation_does_not_extend_the_sign_in(anyone, alice):
    before = SignIn.objects.get(id=alice.sign_in_id).expires_at

    token = refresh(anyone, alice.pair.refresh_token).json()["refresh_token"]

    assert SignIn.objects.get(id=alice.sign_in_id).expires_at == before
    assert RefreshToken.read(token).payload["exp"] == int(before.timestamp())


def test_an_expired_sign_in_is_refused_even_within_the_grace(anyone, alice):
    refresh(anyone, alice.pair.refresh_token)
    SignIn.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert refresh(anyone, alice.pair.refresh_token).json() == BAD


@pytest.mark.parametrize("cause", ["inactive", "removed", "suspended", "revoked"])
def test_refresh_checks_the_account_again_and_revives_nothing(anyone, alice, cause):
    if cause == "inactive":
        User.objects.filter(id=alice.user.id).update(is_active=False)
    elif cause == "removed":
        alice.membership.delete()
    elif cause == "suspended":
        type(alice.workspace).objects.update(suspended_at=timezone.now())
    else:
        SignIn.objects.all().revoke("test")

    response = refresh(anyone, alice.pair.refresh_token)

    assert (response.status_code, response.json()) == (401, BAD)
    assert not live(alice.pair.access_token)


def test_a_recent_parent_of_an_inactive_user_is_no_reuse(anyone, alice):
    refresh(anyone, alice.pair.refresh_token)
    User.objects.filter(id=alice.user.id).update(is_active=False)

    assert refresh(anyone, alice.pair.refresh_token).json() == BAD
    assert SignIn.objects.get().revoked_reason == ""


def test_an_access_token_is_no_refresh_token_and_the_reverse(anyone, alice):
    assert refresh(anyone, alice.pair.access_token).json() == BAD
    assert not live(alice.pair.refresh_token)


def test_the_cookie_serves_where_the_body_has_no_token_and_the_body_wins(anyone, alice):
    anyone.cookies["spatialflow_refresh"] = alice.pair.refresh_token

    assert anyone.post(REFRESH, {"refresh_token": "nonsense"}, format="json").status_code == 401
    by_cookie = anyone.post(REFRESH)

    assert by_cookie.status_code == 200
    assert by_cookie.cookies["spatialflow_refresh"].value == by_cookie.json()["refresh_token"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"refresh_token": "x" * 4096}, 401),
        ({"refresh_token": "x" * 10_000}, 401),
        ({"refresh_token": "x" * 10_001}, 422),
        ({"refresh_token": ""}, 401),
        ({"refresh_token": None}, 401),
        ({"refresh_token": {}}, 422),
        ([], 422),
    ],
)
def test_what_holds_no_token_of_ours_is_a_clear_refusal(anyone, db, body, status):
    assert anyone.post(REFRESH, body, format="json").status_code == status


def test_blanks_around_a_token_and_members_beside_it_do_not_matter(anyone, alice):
    body = {"refresh_token": f" {alice.pair.refresh_token}\n", "device": "phone"}

    assert anyone.post(REFRESH, body, format="json").status_code == 200


def test_no_token_at_all_is_a_401_that_says_what_to_send(anyone, alice):
    response = anyone.post(REFRESH, {}, format="json")

    assert response.status_code == 401
    assert "refresh_token" in response.json()["detail"]


def test_a_token_whose_sign_in_is_gone_is_a_401(anyone, alice):
    SignIn.objects.all().delete()

    assert refresh(anyone, alice.pair.refresh_token).json() == BAD


def test_a_forged_sign_in_id_revokes_nobody(anyone, alice, mallory):
    """Reuse detection must not become a way to sign others out: it acts on validly signed tokens only."""
    claims = jwt.decode(mallory.pair.refresh_token, options={"verify_signature": False})
    forged = jwt.encode({**claims, "sid": str(alice.sign_in_id), "jti": str(uuid.uuid4())}, "x" * 32, "HS256")

    assert refresh(anyone, forged).json() == BAD
    assert SignIn.objects.get(id=alice.sign_in_id).revoked_at is None


@pytest.mark.parametrize("claim", ["sub", "wid"])
def test_a_token_of_our_signature_that_names_somebody_or_something_else_is_no_token(anyone, alice, mallory, claim):
    backend = RefreshToken.read(alice.pair.refresh_token).token_backend
    other = {"sub": str(mallory.user.id), "wid": str(mallory.workspace.id)}
    current = jwt.decode(alice.pair.refresh_token, options={"verify_signature": False})

    assert refresh(anyone, backend.encode({**current, claim: other[claim]})).json() == BAD
    assert refresh(anyone, backend.encode(current)).status_code == 200
    assert refresh(anyone, backend.encode({**current, claim: other[claim]})).json() == BAD  # in the grace, too
    assert refresh(anyone, backend.encode(current)).status_code == 200


def test_logout_ends_every_sign_in_of_the_user_and_nobody_elses(anyone, alice, bob):
    second = alice.sign_in_again()

    response = alice.client.post("/api/v1/auth/logout")

    assert response.status_code == 200
    assert response.cookies["spatialflow_refresh"].value == ""
    assert not live(alice.pair.access_token) and not live(second.access_token)
    assert refresh(anyone, second.refresh_token).json() == BAD
    assert alice.client.post("/api/v1/auth/logout").status_code == 401
    assert live(bob.pair.access_token)


def test_a_browser_signs_out_with_its_cookie_alone(anyone, alice, bob):
    anyone.cookies["spatialflow_refresh"] = alice.pair.refresh_token

    response = anyone.post("/api/v1/auth/logout")

    assert response.status_code == 200
    assert not live(alice.pair.access_token)
    assert anyone.post("/api/v1/auth/logout").status_code == 401
    assert anyone.get("/api/v1/auth/me").status_code == 401  # the cookie opens nothing else
    assert live(bob.pair.access_token)


def test_an_access_token_does_not_outlive_its_sign_in(anyone, alice):
    SignIn.objects.update(expires_at=timezone.now() + timedelta(seconds=60))

    assert 50 <= refresh(anyone, alice.pair.refresh_token).json()["expires_in"] <= 60


def test_refresh_costs_one_query(anyone, alice, django_assert_num_queries):
    with django_assert_num_queries(1):  # the counters are on their own connection
        assert refresh(anyone, alice.pair.refresh_token).status_code == 200


def test_the_workspaces_lifetime_is_what_expires_in_says(anyone, alice):
    type(alice.workspace).objects.update(access_token_lifetime=timedelta(minutes=5))

    body = refresh(anyone, alice.pair.refresh_token).json()

    claims = AccessToken.read(body["access_token"]).payload
    assert body["expires_in"] == claims["exp"] - claims["iat"] == 300
