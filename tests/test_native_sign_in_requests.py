"""Signing in with Google and Apple in an app: what is missing, odd or too much, and what an exchange costs."""

import time
from datetime import timedelta
from statistics import median
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from sso.models import ProviderNonce, SpentToken
from tests.support.native_sign_in import apple, google
from tests.support.oidc_issuer import APPLE, GOOGLE, NONCE, Issuer, apple_body, nonce_for

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("path", "absent", "named"),
    [
        (GOOGLE, ["GOOGLE_CLIENT_IDS"], "GOOGLE_CLIENT_IDS"),
        (APPLE, ["APPLE_CLIENT_IDS", "APPLE_KEY_ID"], "APPLE_CLIENT_IDS and APPLE_KEY_ID"),
        (NONCE, ["APPLE_PRIVATE_KEY"], "APPLE_PRIVATE_KEY"),
        ("/api/v1/auth/apple/notifications", ["APPLE_TEAM_ID"], "APPLE_TEAM_ID"),
    ],
)
def test_an_unconfigured_provider_names_what_is_missing(
    anyone: APIClient, provider: Issuer, settings: Any, path: str, absent: list[str], named: str
):
    body = {"id_token": "x", "identity_token": "x", "authorization_code": "x", "nonce": "x", "payload": "x"}
    assert anyone.post(path, body, format="json").status_code in (200, 401)
    for name in absent:
        setattr(settings, name, "")

    response = anyone.post(path, body, format="json")

    name = "Google" if path == GOOGLE else "Apple"
    sentence = f"Sign-in with {name} is not set up here: the operator of this service has to set {named}."
    assert (response.status_code, response.json()) == (
        503,
        {"detail": sentence, "error_code": "provider_not_configured"},
    )


@pytest.mark.parametrize(
    "odd",
    [
        *({"id_token": value} for value in (None, "", [], {}, "x" * 30_000)),
        *({"invite_id": value, "invite_token": "x"} for value in ([], {}, "x" * 200)),
        *({"full_name": value} for value in ("Ada", [], 5, {"given_name": []}, {"family_name": "x" * 400})),
        *({"nonce": value} for value in (None, "", [], "x" * 600)),
        {"confirm_new_account": "perhaps"},
    ],
)
def test_odd_bodies_are_unprocessable(anyone: APIClient, provider: Issuer, odd: dict[str, Any]):
    path = GOOGLE if odd.keys() & {"id_token", "invite_id"} else APPLE
    good = {"id_token": provider.google_token()} if path == GOOGLE else apple_body(provider, nonce_for(anyone))

    response = anyone.post(path, {**good, **odd}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (422, "validation_error")
    assert anyone.post(path, good, format="json").status_code == 200


@pytest.mark.parametrize("name", ["id_token", "invite_id", "invite_token"])
def test_a_nul_is_no_json(anyone: APIClient, provider: Issuer, name: str):
    response = anyone.post(GOOGLE, {"id_token": "x", name: "\0"}, format="json")

    assert (response.status_code, response.json()["error_code"]) == (400, "malformed_json")


@pytest.mark.usefixtures("standing_clock")
def test_sixty_tokens_a_minute_from_one_address(anyone: APIClient, provider: Issuer):
    answers = [anyone.post(GOOGLE, {"id_token": "x"}, format="json").status_code for _ in range(61)]

    assert answers == [401] * 60 + [429]
    assert apple(anyone, provider).status_code == 429


@pytest.mark.usefixtures("standing_clock")
def test_ten_nonces_a_minute_to_one_address(anyone: APIClient, provider: Issuer):
    answers = [anyone.post(NONCE) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert len({answer.json()["nonce"] for answer in answers[:10]}) == 10
    assert int(answers[10]["Retry-After"]) <= 60


def test_expired_rows_are_swept_out(anyone: APIClient, provider: Issuer):
    nonce_for(anyone)
    google(anyone, provider)
    for model in (ProviderNonce, SpentToken):
        model.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    nonce_for(anyone)
    google(anyone, provider)

    assert (ProviderNonce.objects.count(), SpentToken.objects.count()) == (1, 1)


def test_an_exchange_with_known_keys_needs_no_network_and_little_time(anyone: APIClient, provider: Issuer):
    google(anyone, provider)
    tokens = [provider.google_token(jti=str(number)) for number in range(30)]
    asked, times = len(provider.seen), []

    for token in tokens:
        began = time.perf_counter()
        assert anyone.post(GOOGLE, {"id_token": token}, format="json").status_code == 200
        times.append(time.perf_counter() - began)

    print(f"A token exchange without network: {1000 * median(times):.1f} ms (median of {len(times)}).")
    assert len(provider.seen) == asked
    assert median(times) < 0.5
