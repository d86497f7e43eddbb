"""The official SDK and the sign-in of apps with Google and Apple, against a provider on loopback that really signs."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import sdk as official
from tests.support.cast import Actor
from tests.support.launch import Server, launch
from tests.support.oidc_issuer import Issuer, issuer
from tests.support.sdk import Client, Driver, from_dict
from tests.support.sdk_operations import exercises

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

PAIR = {"access_token", "refresh_token", "token_type", "expires_in", "user", "created"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture(scope="module")
def service(database_url: str, provider: Issuer) -> Iterator[Server]:
    with launch(database_url, workers=1, extra_env=provider.environment()) as running:
        yield running


@pytest.fixture
def client(sdk_driver: Driver, service: Server) -> Client:
    return official.Sdk(sdk_driver, service).client()


def apple_request(client: Client, provider: Issuer) -> dict[str, Any]:
    nonce = client.call("auth.apple_nonce")["nonce"]
    return from_dict(
        "AppleTokenExchangeRequest",
        identity_token=provider.apple_token(nonce),
        authorization_code=provider.apple_code(),
        nonce=nonce,
        full_name={"given_name": "Ada", "family_name": "Lovelace"},
        confirm_new_account=True,
    )


@exercises("auth.google_token_exchange")
def test_an_app_signs_in_with_google(client: Client, provider: Issuer):
    request = from_dict("GoogleTokenExchangeRequest", id_token=provider.google_token())

    pair = client.call("auth.google_token_exchange", google_token_exchange_request=request)

    assert pair.keys() >= PAIR
    assert (pair["created"], pair["user"]["email"]) == (True, "grace@example.com")
    again = client.refused("auth.google_token_exchange", google_token_exchange_request=request)
    assert (again.kind, again.status_code) == ("AuthenticationError", 401)


@exercises("auth.apple_nonce", "auth.apple_token_exchange")
def test_an_app_signs_in_with_apple(client: Client, provider: Issuer):
    pair = client.call("auth.apple_token_exchange", apple_token_exchange_request=apple_request(client, provider))

    assert pair.keys() >= PAIR
    assert (pair["created"], pair["user"]["name"]) == (True, "Ada Lovelace")


@exercises("auth.get_linked_accounts", "auth.disconnect_oauth_account", "auth.link_oauth_account")
def test_what_is_linked_is_seen_and_unlinked(
    client: Client, provider: Issuer, sdk_driver: Driver, service: Server, alice: Actor
):
    request = from_dict("GoogleTokenExchangeRequest", id_token=provider.google_token(email="alice@acme.test"))
    pair = client.call("auth.google_token_exchange", google_token_exchange_request=request)
    signed_in = official.Sdk(sdk_driver, service).client(access_token=pair["access_token"])

    linked = signed_in.call("auth.get_linked_accounts")
    signed_in.call("auth.disconnect_oauth_account", provider="google")

    assert pair["created"] is False
    assert (linked["has_password"], [account["provider"] for account in linked["linked_accounts"]]) == (
        True,
        ["google"],
    )
    assert signed_in.call("auth.get_linked_accounts")["linked_accounts"] == []
    refusal = signed_in.refused("auth.link_oauth_account", provider="google")
    assert (refusal.kind, refusal.status_code) == ("ValidationError", 400)
