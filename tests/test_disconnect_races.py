"""Signing in by an identity while its person disconnects it: what began before neither lives nor binds again."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connections, transaction
from social_django.models import UserSocialAuth

from accounts.models import AuditEvent, SignIn
from sso.identities import disconnect
from sso.models import SpentToken
from tests.support.cast import Actor
from tests.support.launch import Server, launch
from tests.support.oidc_issuer import GOOGLE, Issuer, issuer
from tests.support.race import Answer, at_once, call, start_to_wait

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS, CALLERS = 6, 12
DISCONNECT = "/api/v1/auth/oauth/google/disconnect"


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture(scope="module")
def api(database_url: str, provider: Issuer) -> Iterator[Server]:
    environment = {"PUBLIC_URL": settings.PUBLIC_URL, "BLOCKING_THREADS": str(2 * CALLERS), **provider.environment()}
    with launch(database_url, extra_env=environment) as running:
        yield running


@pytest.fixture
def linked(api: Server, provider: Issuer, alice: Actor) -> Actor:
    """Alice, who has signed in by Google once."""
    assert come(api, provider.google_token(email=alice.user.email)).status == 200
    return alice


def come(api: Server, token: str) -> Answer:
    return call(api, "POST", GOOGLE, {"id_token": token})


def headers_of(person: Actor) -> dict[str, str]:
    return {"Authorization": f"Bearer {person.pair.access_token}"}


def alive(person: Actor) -> list[SignIn]:
    return list(SignIn.objects.live().filter(user=person.user, method="google"))


def test_a_sign_in_that_waits_for_the_disconnection_is_refused(api: Server, provider: Issuer, linked: Actor):
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            disconnect(linked.request(), "google")
            waiting = start_to_wait(pool, come, api, provider.google_token(email=linked.user.email))
        answer = waiting.result()

    assert (answer.status, answer.body["error_code"]) == (401, "account_changed")
    assert (UserSocialAuth.objects.count(), alive(linked)) == (0, [])
    assert come(api, provider.google_token(email=linked.user.email)).status == 200  # begun afterwards, it binds


def test_a_sign_in_whose_identity_went_between_its_steps_is_refused(api: Server, provider: Issuer, linked: Actor):
    """It has found the binding, and is held up where its token is spent."""
    token = provider.google_token(email=linked.user.email)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            SpentToken.objects.spend("google", token.rpartition(".")[0], timedelta(minutes=1))
            waiting = start_to_wait(pool, come, api, token)
            assert call(api, "DELETE", DISCONNECT, headers=headers_of(linked)).status == 200
            transaction.set_rollback(True)
        answer = waiting.result()

    assert (answer.status, answer.body["error_code"]) == (401, "account_changed")
    assert (UserSocialAuth.objects.count(), alive(linked)) == (0, [])


def test_of_sign_ins_at_the_same_moment_only_those_begun_afterwards_live(api: Server, provider: Issuer, alice: Actor):
    """Of what came by the former binding nothing lives; what lives came by a binding made after the disconnection."""
    refused = 0
    for number in range(ROUNDS):
        with connections["counters"].cursor() as cursor:
            cursor.execute("DELETE FROM spatialflow_counter")
        UserSocialAuth.objects.all().delete()
        assert come(api, provider.google_token(email=alice.user.email)).status == 200
        former = UserSocialAuth.objects.get()
        tokens = [provider.google_token(email=alice.user.email) for _ in range(CALLERS)]

        def act(index: int) -> Answer:
            if index == 0:
                time.sleep(0.01 * number)  # noqa: B023 - within the round
                return call(api, "DELETE", DISCONNECT, headers=headers_of(alice))
            return come(api, tokens[index])  # noqa: B023

        done, *answers = at_once(CALLERS, act)

        assert done.status == 200, done
        refusals = {(answer.status, answer.body["error_code"]) for answer in answers if answer.status != 200}
        assert refusals <= {(401, "account_changed")}, refusals
        refused += sum(answer.status != 200 for answer in answers)
        now_bound = UserSocialAuth.objects.first()
        assert now_bound is None or now_bound.id != former.id
        assert now_bound is not None or alive(alice) == []
        disconnected = AuditEvent.objects.filter(action="account.identity_unlinked").latest("sequence")
        for row in alive(alice):
            begun = AuditEvent.objects.get(action="auth.signed_in", resource_id=str(row.id))
            assert begun.sequence > disconnected.sequence
    print(f"{refused} of {ROUNDS * (CALLERS - 1)} sign-ins were overtaken")
