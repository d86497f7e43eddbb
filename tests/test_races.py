"""Real concurrent callers against the running service: exactly one winner."""

import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.db.models import F

from accounts.models import SignIn
from accounts.tokens import RefreshToken
from apikeys.models import ApiKey
from tests.support.cast import Actor
from tests.support.race import Answer, at_once, call

REFRESH = "/api/v1/auth/refresh"
real = pytest.mark.django_db(transaction=True)


def refresh(server: str, token: str) -> Answer:
    return call(server, "POST", REFRESH, {"refresh_token": token})


@real
@pytest.mark.parametrize("callers", [16, 28])
def test_concurrent_refreshes_of_one_token_have_one_successor(server, alice: Actor, callers):
    answers = at_once(callers, lambda _: refresh(server, alice.pair.refresh_token))

    assert Counter(answer.status for answer in answers) == {200: callers}  # a mere race locks nobody out
    assert len({answer.body["refresh_token"] for answer in answers}) == 1
    sign_in = SignIn.objects.get()
    assert sign_in.revoked_at is None
    assert RefreshToken.read(answers[0].body["refresh_token"]).jti == sign_in.current_jti
    assert sign_in.previous_jti == RefreshToken.read(alice.pair.refresh_token).jti


@real
def test_concurrent_reuse_revokes_once_and_answers_nobody(server, alice):
    refresh(server, alice.pair.refresh_token)
    SignIn.objects.update(rotated_at=F("rotated_at") - timedelta(seconds=11))

    answers = at_once(16, lambda _: refresh(server, alice.pair.refresh_token))

    assert Counter(answer.status for answer in answers) == {401: 16}
    assert SignIn.objects.get().revoked_reason == "refresh_reuse"


@real
def test_a_refresh_that_races_with_logout_leaves_nothing_alive(server, alice):
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    def act(index: int) -> Answer:
        if index == 0:
            return call(server, "POST", "/api/v1/auth/logout", headers=headers)
        return refresh(server, alice.pair.refresh_token)

    answers = at_once(12, act)

    assert {answer.status for answer in answers} <= {200, 401}
    assert SignIn.objects.get().revoked_at is not None
    for answer in answers[1:]:
        if answer.status == 200:
            assert refresh(server, answer.body["refresh_token"]).status == 401


@real
def test_a_lost_reply_is_recovered_with_the_token_at_hand(server, alice):
    """The client that never saw the answer asks again with what it has."""
    refresh(server, alice.pair.refresh_token)

    again = refresh(server, alice.pair.refresh_token)

    assert again.status == 200
    assert refresh(server, again.body["refresh_token"]).status == 200


@real
def test_the_cap_on_keys_holds_at_once(server, alice):
    ApiKey.objects.bulk_create(
        ApiKey(workspace=alice.workspace, created_by=alice.user, name="old", prefix="sf_", digest=uuid.uuid4().bytes)
        for _ in range(197)
    )
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answers = at_once(16, lambda _: call(server, "POST", "/api/v1/account/api-keys", {}, headers))

    assert Counter(answer.status for answer in answers) == {201: 3, 409: 13}
