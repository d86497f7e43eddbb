"""The providers' signing keys: fetched seldom, changed in flight, and what holds while a provider is down or lying."""

import time
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from tests.support.cast import Actor
from tests.support.oidc_issuer import (
    GOOGLE,
    Issuer,
    elsewhere,
    endlessly,
    jwk,
    rsa_key,
    slowly,
    with_a_list,
    with_a_page,
    with_an_error,
    with_nesting,
)

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db


class Clock:
    """The monotonic clock of this process, moved on by a test."""

    def __init__(self) -> None:
        self.ahead = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved, real = Clock(), time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + moved.ahead)
    return moved


def sign_in(client: APIClient, provider: Issuer, kid: str = "first", **changes: Any) -> Any:
    token = provider.sign(provider.google_claims(**changes), kid)
    return client.post(GOOGLE, {"id_token": token}, format="json")


def test_keys_are_fetched_once_an_hour(anyone: APIClient, provider: Issuer, clock: Clock):
    assert [sign_in(anyone, provider).status_code for _ in range(3)] == [200] * 3
    assert provider.asked("/keys") == 1

    clock.ahead = 3601
    assert [sign_in(anyone, provider).status_code for _ in range(3)] == [200] * 3
    assert provider.asked("/keys") == 2


def test_keys_that_change_in_flight_are_noticed_at_once(anyone: APIClient, provider: Issuer):
    before = provider.google_token()
    assert sign_in(anyone, provider).status_code == 200

    provider.rotate("second")

    assert sign_in(anyone, provider, "second").status_code == 200
    assert provider.asked("/keys") == 2
    # The old key is not published any more, so what it signed is worth nothing.
    assert anyone.post(GOOGLE, {"id_token": before}, format="json").status_code == 401


def test_a_flood_of_unknown_keys_makes_one_request_a_minute(anyone: APIClient, provider: Issuer, clock: Clock):
    assert sign_in(anyone, provider).status_code == 200
    kids = [f"made up {number}" for number in range(20)]
    provider.keys = dict.fromkeys(kids, rsa_key("forger"))
    tokens = [provider.sign(provider.google_claims(), kid) for kid in kids]
    provider.keys = {"first": rsa_key("first")}

    assert {anyone.post(GOOGLE, {"id_token": token}, format="json").status_code for token in tokens} == {401}
    assert provider.asked("/keys") == 2

    clock.ahead = 61
    assert anyone.post(GOOGLE, {"id_token": tokens[0]}, format="json").status_code == 401
    assert provider.asked("/keys") == 3


def test_a_changed_key_is_let_in_as_soon_as_the_provider_says_it(anyone: APIClient, provider: Issuer, clock: Clock):
    """Only the provider's answer makes a key unknown. While it gives none, that is no fault of who signs in."""
    assert sign_in(anyone, provider).status_code == 200
    provider.rotate("second")
    provider.behave("/keys", with_an_error)

    refused = [sign_in(anyone, provider, "second") for _ in range(4)]

    assert {(answer.status_code, answer["Retry-After"]) for answer in refused} == {(503, "10")}
    assert {answer.json()["error_code"] for answer in refused} == {"provider_unavailable"}
    assert provider.asked("/keys") == 2  # and not by everybody who comes
    provider.behave("/keys", None)
    assert sign_in(anyone, provider, "second").status_code == 503

    clock.ahead = 11
    assert sign_in(anyone, provider, "second").status_code == 200
    assert provider.asked("/keys") == 3


MISBEHAVIOURS = [slowly, with_a_page, with_an_error, endlessly, elsewhere, with_a_list, with_nesting]


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
def test_without_keys_it_is_a_503_in_time_and_known_ones_go_on(
    anyone: APIClient, provider: Issuer, clock: Clock, misbehaviour: Any
):
    provider.behave("/keys", misbehaviour)
    began = time.perf_counter()

    refused = sign_in(anyone, provider)

    assert time.perf_counter() - began < 6
    assert (refused.status_code, refused.json()) == (
        503,
        {
            "detail": "The sign-in provider cannot be asked for its keys at the moment; try again in ten seconds.",
            "error_code": "provider_unavailable",
        },
    )
    assert (refused["Retry-After"], User.objects.count()) == ("10", 0)
    # It is not asked again by everybody who comes.
    assert (sign_in(anyone, provider).status_code, provider.asked("/keys"), provider.asked("/other")) == (503, 1, 0)

    provider.behave("/keys", None)
    clock.ahead = 11
    assert sign_in(anyone, provider).status_code == 200


def test_known_keys_go_on_for_a_day_while_the_provider_is_down(anyone: APIClient, provider: Issuer, clock: Clock):
    assert sign_in(anyone, provider).status_code == 200
    provider.behave("/keys", with_an_error)

    clock.ahead = 23 * 3600
    assert [sign_in(anyone, provider).status_code for _ in range(5)] == [200] * 5
    assert provider.asked("/keys") == 2

    clock.ahead = 25 * 3600
    assert sign_in(anyone, provider).status_code == 503


def test_an_answer_without_a_usable_key_is_none(anyone: APIClient, provider: Issuer, clock: Clock):
    assert sign_in(anyone, provider).status_code == 200
    provider.behave("/keys", lambda handler: handler.say(200, {"keys": [{**jwk("x", rsa_key("first")), "kty": "EC"}]}))

    clock.ahead = 3601

    assert sign_in(anyone, provider).status_code == 200


def test_password_sign_in_does_not_notice(anyone: APIClient, provider: Issuer, alice: Actor):
    provider.behave("/keys", with_an_error)

    assert sign_in(anyone, provider).status_code == 503
    assert alice.client.get("/api/v1/auth/me").status_code == 200
