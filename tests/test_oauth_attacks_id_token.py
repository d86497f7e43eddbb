"""Id tokens of Google that lie, and addresses that enter nobody's account: each leaves no account and no login code."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import User
from sso.models import LoginCode
from tests.support.apple_provider import DANA, GOOGLE_CLIENT, StandIn, signing_key
from tests.support.cast import Actor
from tests.support.oauth import CLIENT_STATE, begin, come_back, get_code, told
from tests.support.oauth_attacks import assert_nothing_was_made

pytest_plugins = ["tests.support.oauth_fixtures"]
pytestmark = pytest.mark.django_db


# --- The id token


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": ""},
        {"nonce": None},
        {"nonce": ["x"]},
        {"aud": "another-app"},
        {"aud": "ios.apps.google.test"},
        {"aud": [GOOGLE_CLIENT, "another-app"]},
        {"aud": []},
        {"azp": "another-app"},
        {"iss": "https://accounts.google.com"},
        {"iss": "https://appleid.apple.com"},
        {"iss": None},
        {"exp": 1},
        {"exp": "soon"},
        {"iat": 1},
        {"iat": 99_999_999_999},
        {"sub": ""},
        {"sub": None},
        {"sub": 1},
        {"sub": "x" * 300},
        {"at_hash": "another"},
        {"at_hash": 1},
        {"at_hash": ""},
    ],
    ids=str,
)
def test_an_id_token_that_lies(browser: APIClient, google: StandIn, claims):
    answer = google.consent(begin(browser))
    google.claims = claims

    back = come_back(browser, answer)

    assert told(back) == {"error": "invalid_identity_token", "state": CLIENT_STATE}
    assert_nothing_was_made()


@pytest.mark.parametrize("forge", ["none", "HS256", "other key", "unknown kid", "no kid", "cut"])
def test_an_id_token_that_is_forged(browser: APIClient, google: StandIn, forge):
    answer = google.consent(begin(browser))
    google.token_endpoint = lambda handler: handler.say_json(200, forged(google, answer["code"], forge))

    assert told(come_back(browser, answer))["error"] == "invalid_identity_token"
    assert_nothing_was_made()


def forged(google: StandIn, code: str, how: str) -> dict[str, str]:
    right = google.id_token(google.grants[code]["nonce"], "access")
    claims = jwt.decode(right, options={"verify_signature": False})
    modulus = str(signing_key.public_key().public_numbers().n)
    token = {
        "none": lambda: jwt.encode(claims, None, "none", headers={"kid": "k1"}),
        "HS256": lambda: jwt.encode(claims, modulus, "HS256", headers={"kid": "k1"}),
        "other key": lambda: jwt.encode(
            claims, rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256", headers={"kid": "k1"}
        ),
        "unknown kid": lambda: jwt.encode(claims, signing_key, "RS256", headers={"kid": "k2"}),
        "no kid": lambda: jwt.encode(claims, signing_key, "RS256"),
        "cut": lambda: right.rpartition(".")[0] + ".",
    }[how]()
    return {"access_token": "access", "id_token": token}


def test_an_id_token_of_another_round_trip(browser: APIClient, google: StandIn):
    """Replay: the provider's answer for one visit, nonce and all, is brought to the next."""
    first = google.consent(begin(browser))
    replayed = google.id_token(google.grants[first["code"]]["nonce"], "access")
    answer = google.consent(begin(browser))
    google.token_endpoint = lambda handler: handler.say_json(200, {"access_token": "access", "id_token": replayed})

    assert told(come_back(browser, answer))["error"] == "invalid_identity_token"
    assert (LoginCode.objects.count(), User.objects.count()) == (0, 0)


# --- Whose account


@pytest.mark.parametrize("verified", [False, "false", None, 1, "yes"])
def test_an_address_that_the_provider_has_not_verified(browser: APIClient, google: StandIn, alice: Actor, verified):
    google.person |= {"email": alice.user.email, "email_verified": verified}

    back = told(come_back(browser, google.consent(begin(browser))))

    assert back.keys() == {"error", "state"}
    assert (UserSocialAuth.objects.count(), LoginCode.objects.count(), User.objects.count()) == (0, 0, 1)


def test_an_account_that_somebody_made_in_wait_is_not_entered(browser: APIClient, google: StandIn):
    """Pre-hijacking: Mallory signs up with Dana's address, which nobody has verified, and waits for her."""
    User.objects.create_user(DANA["email"], "mallorys password of old")

    back = told(come_back(browser, google.consent(begin(browser))))

    assert back.keys() == {"error", "state"}
    assert (UserSocialAuth.objects.count(), LoginCode.objects.count()) == (0, 0)


def test_an_inactive_person_stays_out(browser: APIClient, google: StandIn):
    get_code(browser, google)
    User.objects.update(is_active=False)

    back = told(come_back(browser, google.consent(begin(browser))))

    assert back.keys() == {"error", "state"}
    assert LoginCode.objects.count() == 1  # the one of before, which is refused at its trade
