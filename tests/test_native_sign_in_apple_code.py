"""Signing in with Apple in an app: codes that Apple refuses, and an Apple that fails."""

import time
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import SignIn, User
from sso.models import AppleRefreshToken
from tests.support.native_sign_in import apple
from tests.support.oidc_issuer import (
    APPLE,
    APPLE_CLIENTS,
    Issuer,
    apple_body,
    elsewhere,
    endlessly,
    nonce_for,
    slowly,
    with_a_list,
    with_a_page,
    with_an_error,
    with_nesting,
)

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("bad", ["made up", "used", "of another client", "of somebody else", "", "x" * 3000])
def test_a_code_that_apple_refuses_signs_nobody_in(anyone: APIClient, provider: Issuer, bad: str):
    used = provider.apple_code()
    codes = {
        "used": lambda: provider.codes.pop(used) and used,
        "of another client": lambda: provider.apple_code(client_id=APPLE_CLIENTS[0]),
        "of somebody else": lambda: provider.apple_code("001.mallory"),
    }
    body = {**apple_body(provider, nonce_for(anyone)), "authorization_code": codes.get(bad, lambda: bad)()}

    response = anyone.post(APPLE, body, format="json")

    expected = (401, "invalid_authorization_code") if len(bad) > 1 and len(bad) < 100 else (422, "validation_error")
    assert (response.status_code, response.json()["error_code"]) == expected
    assert (User.objects.count(), AppleRefreshToken.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "misbehaviour", [slowly, with_a_page, with_an_error, endlessly, elsewhere, with_a_list, with_nesting]
)
def test_apple_down_is_a_502_in_time_and_nothing_half_made(anyone: APIClient, provider: Issuer, misbehaviour: Any):
    provider.behave("/token", misbehaviour)
    began = time.monotonic()

    response = apple(anyone, provider)

    assert (response.status_code, response.json()["error_code"]) == (502, "provider_unavailable")
    assert time.monotonic() - began < 6
    assert (User.objects.count(), SignIn.objects.count()) == (0, 0)

    provider.behave("/token", None)
    assert apple(anyone, provider).status_code == 200


def test_apple_that_does_not_know_this_service_is_the_operators_to_repair(
    anyone: APIClient, provider: Issuer, settings: Any, caplog: Any
):
    settings.APPLE_KEY_ID = "ANOTHERKEY"

    response = apple(anyone, provider)

    assert (response.status_code, response.json()["error_code"]) == (502, "provider_refused_service")
    assert "127.0.0.1 answered 400 invalid_client" in caplog.text
    assert (User.objects.count(), SignIn.objects.count()) == (0, 0)
