"""Identity tokens that are not what they seem: every one is refused alike, and nothing is made of it."""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from rest_framework.test import APIClient
from social_django.models import UserSocialAuth

from accounts.models import SignIn, User
from sso.models import ProviderNonce, SpentToken
from tests.support.cast import Actor
from tests.support.oidc_issuer import (
    ABSENT,
    APPLE,
    GOOGLE,
    Issuer,
    apple_body,
    encoded,
    jwk,
    nonce_for,
    public_pem,
    rsa_key,
    without_absent,
)

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db

REFUSED = {
    "detail": "This identity token is invalid, expired or already used. Sign in with the provider again.",
    "error_code": "invalid_identity_token",
}
Forger = Callable[[Issuer, dict[str, Any]], str]


def header(**fields: Any) -> dict[str, Any]:
    return {"alg": "RS256", "typ": "JWT", "kid": "first", **fields}


def with_claims(**changes: Any) -> Forger:
    """The provider's own signature on other claims."""
    return lambda p, claims: signed_text(header(), json.dumps(without_absent({**claims, **changes})))


def with_header(**fields: Any) -> Forger:
    """The provider's own signature under another header."""
    return lambda p, claims: signed_text(header(**fields), json.dumps(claims))


def signed_text(fields: dict[str, Any], payload: str | bytes, key: str = "first") -> str:
    """A real signature, past a library that would not sign nonsense."""
    signing_input = f"{encoded(fields)}.{encoded(payload)}"
    signer = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    return f"{signing_input}.{encoded(signer.sign(signing_input.encode(), rsa_key(key)))}"


def unsigned(alg: str) -> Forger:
    return lambda p, claims: f"{encoded(header(alg=alg))}.{encoded(claims)}."


def by_hmac(secret: Callable[[], bytes], alg: str = "HS256") -> Forger:
    """A signature with what everybody knows, as if it were a shared secret."""

    def forge(p: Issuer, claims: dict[str, Any]) -> str:
        signing_input = f"{encoded(header(alg=alg))}.{encoded(claims)}"
        signer = jwt.algorithms.HMACAlgorithm(getattr(jwt.algorithms.HMACAlgorithm, f"SHA{alg[2:]}"))
        return f"{signing_input}.{encoded(signer.sign(signing_input.encode(), secret()))}"

    return forge


def by_own_key(**headers: Any) -> Forger:
    """A forger's own signature under a known key id, with a header that says where its key is."""
    return lambda p, claims: jwt.encode(claims, rsa_key("forger"), "RS256", headers={"kid": "first", **headers})


def by_algorithm(alg: str, key: Any = None) -> Forger:
    return lambda p, claims: jwt.encode(claims, key or rsa_key("first"), alg, headers={"kid": "first"})


def tampered(change: Callable[[str], str]) -> Forger:
    return lambda p, claims: change(p.sign(claims))


def with_payload(payload: str | bytes) -> Forger:
    return lambda p, claims: signed_text(header(), payload)


def part(token: str, index: int, value: str) -> str:
    parts = token.split(".")
    parts[index] = value
    return ".".join(parts)


def at(seconds: float) -> int:
    return int(time.time() + seconds)


TAMPERED_CLAIMS = encoded({"sub": "somebody else"})
SOMEBODY_ELSES_PAGE = "https://keys.evil.example/jwks"

HOSTILE: dict[str, Forger] = {
    # --- The signature (OA-4)
    **{f"unsigned, alg {alg}": unsigned(alg) for alg in ("none", "None", "NONE", "nOnE", "")},
    "HS256 with the public key in PEM": by_hmac(lambda: public_pem(rsa_key("first"))),
    "HS256 with the public key in PEM, stripped": by_hmac(lambda: public_pem(rsa_key("first")).strip()),
    "HS256 with the modulus": by_hmac(lambda: jwk("first", rsa_key("first"))["n"].encode()),
    "HS256 with the published key as JSON": by_hmac(lambda: json.dumps(jwk("first", rsa_key("first"))).encode()),
    "HS256 with nothing": by_hmac(lambda: b""),
    "HS512 with the public key": by_hmac(lambda: public_pem(rsa_key("first")), "HS512"),
    **{f"{alg} with the right key": by_algorithm(alg) for alg in ("RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256 with a key of the forger": by_algorithm("ES256", ec.generate_private_key(ec.SECP256R1())),
    "the forger's key under a known id": by_own_key(),
    "the forger's key embedded": by_own_key(jwk=jwk("first", rsa_key("forger"))),
    "the forger's key at jku": by_own_key(jku=SOMEBODY_ELSES_PAGE),
    "the forger's key at x5u": by_own_key(x5u=SOMEBODY_ELSES_PAGE),
    "the forger's key in x5c": by_own_key(x5c=[base64.b64encode(public_pem(rsa_key("forger"))).decode()]),
    "a jku as key id": by_own_key(kid=SOMEBODY_ELSES_PAGE),
    "a key id nobody has": by_own_key(kid="second"),
    "a right signature under a key id nobody has": with_header(kid="second"),
    "no key id": lambda p, claims: jwt.encode(claims, rsa_key("first"), "RS256"),
    **{f"key id {kid!r}": with_header(kid=kid) for kid in (None, "", 1, True, ["first"], {"kid": "first"}, "first\0")},
    "key id like a path": with_header(kid="../../../../dev/null"),
    "key id of 5 kB": with_header(kid="k" * 5000),
    "an unknown critical extension": with_header(crit=["exp"], exp=1),
    "an empty crit": with_header(crit=[]),
    "a payload that is not encoded": with_header(b64=False, crit=["b64"]),
    **{f"alg {alg!r}": with_header(alg=alg) for alg in (None, "rs256", "RS256 ", 256, ["RS256"], {"RS256": 1})},
    "no signature": tampered(lambda token: part(token, 2, "")),
    "half a signature": tampered(lambda token: token[:-150]),
    "a signature of something else": lambda p, claims: part(p.sign(claims), 2, p.sign({}).split(".")[2]),
    "other claims under a right signature": tampered(lambda token: part(token, 1, TAMPERED_CLAIMS)),
    "another header under a right signature": tampered(lambda token: part(token, 0, encoded(header(typ="at+jwt")))),
    # --- The issuer (OA-5)
    **{f"issuer {iss!r}": with_claims(iss=iss) for iss in (ABSENT, None, "", 1, [], ["https://accounts.google.com"])},
    "the issuer of another provider": with_claims(iss="https://login.microsoftonline.com/common/v2.0"),
    "an issuer that begins like ours": lambda p, claims: p.sign({**claims, "iss": f"{p.url}.evil.example"}),
    "an issuer with a slash more": lambda p, claims: p.sign({**claims, "iss": f"{p.url}/"}),
    "an issuer in capitals": lambda p, claims: p.sign({**claims, "iss": p.url.upper()}),
    "issuers in a list": lambda p, claims: with_claims(iss=[p.url])(p, claims),
    # --- The audience (OA-6)
    "a token for another app": with_claims(aud="another.apps.google.test"),
    "a token for another app and azp of ours": lambda p, c: p.sign({**c, "aud": "another.app", "azp": c["aud"]}),
    **{f"audience {aud!r}": with_claims(aud=aud) for aud in (ABSENT, None, "", 1, [], [[]], {}, [None])},
    "an audience that begins like ours": lambda p, claims: p.sign({**claims, "aud": f"{claims['aud']}.evil"}),
    "a part of our audience": lambda p, claims: p.sign({**claims, "aud": claims["aud"][:-1]}),
    "ours and another without azp": lambda p, c: p.sign({**c, "aud": [c["aud"], "another.app"]}),
    "ours and another by that": lambda p, c: p.sign({**c, "aud": [c["aud"], "another.app"], "azp": "another.app"}),
    "ours alone, asked for by another": with_claims(azp="another.app"),
    **{f"ours alone, azp {azp!r}": with_claims(azp=azp) for azp in ("", 1, [], ["web.apps.google.test"])},
    # --- The times (OA-7)
    "expired": lambda p, claims: p.sign({**claims, "exp": at(-120)}),
    **{f"exp {exp!r}": with_claims(exp=exp) for exp in (ABSENT, None, "", "tomorrow", True, 1, -1, [], float("inf"))},
    "exp a float": lambda p, claims: p.sign({**claims, "exp": time.time() + 100.5}),
    "exp in text": lambda p, claims: p.sign({**claims, "exp": str(at(600))}),
    "exp NaN": with_claims(exp=float("nan")),
    "exp of a thousand digits": with_claims(exp=10**1000),
    "issued twelve minutes ago": lambda p, claims: p.sign({**claims, "iat": at(-720)}),
    "issued in five minutes": lambda p, claims: p.sign({**claims, "iat": at(300)}),
    **{f"iat {iat!r}": with_claims(iat=iat) for iat in (ABSENT, None, "", "now", True, [], -1, float("inf"))},
    "iat in text": lambda p, claims: p.sign({**claims, "iat": str(at(0))}),
    "iat a float": lambda p, claims: p.sign({**claims, "iat": time.time()}),
    "not valid before five minutes": lambda p, claims: p.sign({**claims, "nbf": at(300)}),
    # --- The subject
    **{f"subject {sub!r}": with_claims(sub=sub) for sub in (ABSENT, None, "", " ", 109, True, [], ["109"], {})},
    "a subject of 256 characters": with_claims(sub="1" * 256),
    "a subject with a NUL": with_claims(sub="109\0"),
    "a subject with a blank": with_claims(sub="109 "),
    "a subject in full-width digits": with_claims(sub="１０９"),
    "half a surrogate as subject": with_claims(sub="\ud800"),
    # --- No token at all
    **{
        f"{text!r:.30}": lambda p, claims, text=text: text for text in (".", "..", "a.b", "a.b.c", "....", "ya29.a0AfH")
    },
    "JSON": lambda p, claims: json.dumps(claims),
    "five parts, as if encrypted": tampered(lambda token: f"{token}.a.b"),
    "two tokens": lambda p, claims: f"{p.sign(claims)},{p.sign(claims)}",
    "a token in quotes": tampered(lambda token: f'"{token}"'),
    "a token as a Bearer header": tampered(lambda token: f"Bearer {token}"),
    "a token with a blank inside": tampered(lambda token: token.replace(".", ". ", 1)),
    "19 kB": lambda p, claims: "a." + "b" * 19_000 + ".c",
    "a padded token of 9 kB": with_claims(padding="x" * 7000),
    "an emoji": lambda p, claims: "🦊.🦊.🦊",
    **{f"payload {text!r:.20}": with_payload(text) for text in ("", "[]", "null", "1", '"', "{", "\0", "[" * 5000)},
    "a payload that is no text": with_payload(b"\xff\xfe\xfd"),
    "a header that is a list": lambda p, claims: part(p.sign(claims), 0, encoded([1])),
    "a header that is nested": lambda p, claims: part(p.sign(claims), 0, encoded("[" * 5000)),
    "an access token of the provider": lambda p, claims: p.sign(
        {"iss": claims["iss"], "aud": claims["aud"], "client_id": claims["aud"], "scope": "openid", "exp": at(600)}
    ),
}


def test_there_are_many():
    print(f"{len(HOSTILE)} hostile identity tokens, each tried as Google's and as Apple's.")
    assert len(HOSTILE) >= 120


@pytest.fixture
def before() -> list[int]:
    return counts()


def counts() -> list[int]:
    return [model.objects.count() for model in (User, SignIn, UserSocialAuth, SpentToken)]


@pytest.mark.parametrize("name", HOSTILE)
def test_google_never_signed_that(anyone: APIClient, provider: Issuer, before: list[int], name: str):
    response = anyone.post(GOOGLE, {"id_token": HOSTILE[name](provider, provider.google_claims())}, format="json")

    assert (response.status_code, response.json()) == (401, REFUSED)
    assert counts() == before


@pytest.mark.parametrize("name", HOSTILE)
def test_apple_never_signed_that(anyone: APIClient, provider: Issuer, before: list[int], name: str):
    nonce = nonce_for(anyone)
    body = apple_body(provider, nonce, identity_token=HOSTILE[name](provider, provider.apple_claims(nonce)))

    response = anyone.post(APPLE, body, format="json")

    assert (response.status_code, response.json()) == (401, REFUSED)
    assert counts() == before
    assert (provider.asked("/token"), ProviderNonce.objects.count()) == (0, 1)


def test_what_they_are_made_of_is_good(anyone: APIClient, provider: Issuer):
    nonce = nonce_for(anyone)

    google = anyone.post(GOOGLE, {"id_token": provider.google_token()}, format="json")
    apple = anyone.post(APPLE, apple_body(provider, nonce), format="json")

    assert (google.status_code, apple.status_code) == (200, 200)


@pytest.mark.parametrize(
    "harmless",
    [
        {"aud": ["web.apps.google.test"]},
        {"aud": ["ios.apps.google.test", "web.apps.google.test"], "azp": "ios.apps.google.test"},
        {"azp": "ios.apps.google.test"},
        {"nonce": "the app's own"},
        {"jti": "1", "at_hash": "x", "hd": "example.com"},
    ],
)
def test_what_providers_write_differently_is_fine(anyone: APIClient, provider: Issuer, harmless: dict[str, Any]):
    response = anyone.post(GOOGLE, {"id_token": provider.google_token(**harmless)}, format="json")

    assert response.status_code == 200


def test_clocks_may_differ_by_a_minute(anyone: APIClient, provider: Issuer):
    ahead = provider.google_token(iat=at(50))
    behind = provider.google_token(iat=at(-640), exp=at(-50))

    answers = [anyone.post(GOOGLE, {"id_token": token}, format="json").status_code for token in (ahead, behind)]

    assert answers == [200, 200]


def test_google_writes_its_issuer_in_both_spellings(anyone: APIClient, provider: Issuer, settings: Any):
    settings.GOOGLE_ISSUER = "https://accounts.google.com"

    answers = [
        anyone.post(GOOGLE, {"id_token": provider.google_token(iss=iss)}, format="json").status_code
        for iss in ("https://accounts.google.com", "accounts.google.com", "http://accounts.google.com", provider.url)
    ]

    assert answers == [200, 200, 401, 401]


def test_a_token_of_ours_is_none_of_theirs(anyone: APIClient, provider: Issuer, alice: Actor):
    for raw in (alice.pair.access_token, alice.pair.refresh_token):
        response = anyone.post(GOOGLE, {"id_token": raw}, format="json")
        assert (response.status_code, response.json()) == (401, REFUSED)


def test_one_providers_token_is_not_the_others(anyone: APIClient, provider: Issuer):
    nonce = nonce_for(anyone)
    body = apple_body(provider, nonce)

    googles = anyone.post(APPLE, {**body, "identity_token": provider.google_token(nonce=nonce)}, format="json")
    apples = anyone.post(GOOGLE, {"id_token": body["identity_token"]}, format="json")

    assert (googles.status_code, apples.status_code) == (401, 401)
    assert anyone.post(APPLE, body, format="json").status_code == 200


def test_an_id_token_works_once_however_its_signature_is_spelled(anyone: APIClient, provider: Issuer):
    token = provider.google_token()
    first = anyone.post(GOOGLE, {"id_token": token}, format="json")
    # The last character of a 256-byte signature carries four bits that mean nothing.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelled = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]

    answers = [anyone.post(GOOGLE, {"id_token": again}, format="json") for again in (token, respelled, token + "=")]

    assert first.status_code == 200
    assert [(answer.status_code, answer.json()) for answer in answers] == [(401, REFUSED)] * 3
    assert SignIn.objects.count() == 1


@pytest.mark.parametrize("weak", ["too short", "for encryption", "for another algorithm", "without kid"])
def test_a_published_key_of_another_kind_signs_nothing(anyone: APIClient, provider: Issuer, weak: str):
    keys = {
        "too short": jwk("weak", rsa_key("weak")),
        "for encryption": {**jwk("weak", rsa_key("first")), "use": "enc"},
        "for another algorithm": {**jwk("weak", rsa_key("first")), "alg": "RS512"},
        "without kid": {k: v for k, v in jwk("weak", rsa_key("first")).items() if k != "kid"},
    }
    published = {"keys": [keys[weak], jwk("first", rsa_key("first")), {"kty": "EC"}, {"kty": "RSA", "kid": "x"}, 1]}
    provider.behave("/keys", lambda handler: handler.say(200, published))
    signer = "weak" if weak == "too short" else "first"
    token = signed_text(header(kid="weak"), json.dumps(provider.google_claims()), signer)

    refused = anyone.post(GOOGLE, {"id_token": token}, format="json")
    good = anyone.post(GOOGLE, {"id_token": provider.google_token()}, format="json")

    assert (refused.status_code, refused.json(), good.status_code) == (401, REFUSED, 200)


# --- Apple's nonce (OA-8)


def test_the_nonce_may_come_back_raw_or_hashed_and_works_once(anyone: APIClient, provider: Issuer):
    raw, hashed = nonce_for(anyone), nonce_for(anyone)
    bodies = [
        apple_body(provider, raw),
        apple_body(provider, hashed, token_nonce=hashlib.sha256(hashed.encode()).hexdigest()),
    ]

    assert [anyone.post(APPLE, body, format="json").status_code for body in bodies] == [200, 200]

    again = apple_body(provider, raw)  # a fresh token for the same nonce
    response = anyone.post(APPLE, again, format="json")
    assert (response.status_code, response.json(), provider.asked("/token")) == (401, REFUSED, 2)


@pytest.mark.parametrize("wrong", ["another's", "made up", "absent", "hashed twice", "its hash sent as the nonce"])
def test_a_foreign_nonce_is_refused(anyone: APIClient, provider: Issuer, wrong: str):
    mine, others = nonce_for(anyone), nonce_for(anyone)
    hashed = hashlib.sha256(mine.encode()).hexdigest()
    body = {
        "another's": lambda: apple_body(provider, mine, token_nonce=others),
        "made up": lambda: apple_body(provider, "made up"),
        "absent": lambda: apple_body(provider, mine, token_nonce=ABSENT),
        "hashed twice": lambda: apple_body(provider, mine, token_nonce=hashlib.sha256(hashed.encode()).hexdigest()),
        "its hash sent as the nonce": lambda: {**apple_body(provider, mine, token_nonce=hashed), "nonce": hashed},
    }[wrong]()

    response = anyone.post(APPLE, body, format="json")

    assert (response.status_code, response.json(), User.objects.count()) == (401, REFUSED, 0)
    assert anyone.post(APPLE, apple_body(provider, mine), format="json").status_code == 200


def test_a_nonce_lives_ten_minutes(anyone: APIClient, provider: Issuer):
    nonce = nonce_for(anyone)
    ProviderNonce.objects.update(expires_at=ProviderNonce.objects.get().expires_at - ProviderNonce.lifetime)

    response = anyone.post(APPLE, apple_body(provider, nonce), format="json")

    assert (response.status_code, response.json()) == (401, REFUSED)


def test_without_the_nonce_it_is_asked_for(anyone: APIClient, provider: Issuer):
    nonce = nonce_for(anyone)
    body = {name: value for name, value in apple_body(provider, nonce).items() if name != "nonce"}

    response = anyone.post(APPLE, body, format="json")

    sentence = "Send the nonce of POST /api/v1/auth/apple/nonce that Apple was given."
    assert (response.status_code, response.json()["details"]) == (422, {"nonce": [sentence]})
