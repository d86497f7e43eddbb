"""Keys of elliptic curves: other services verify access tokens by the public half alone, which forges nothing."""

import base64
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings
from rest_framework.test import APIClient

from accounts.key_ring import key_ring
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.launch import launch
from tests.support.race import call

ME = "/api/v1/auth/me"
KEYS = "/.well-known/jwks.json"
OLD_KID, OLD_SECRET = next(iter(settings.JWT_SIGNING_KEYS.items()))
PRIVATE, NEXT, STRANGERS = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def curve_keys(settings: Any) -> Iterator[None]:
    """Sign by an elliptic curve's key, with another of the kind and the secret from before beside it."""
    settings.JWT_SIGNING_KEYS = {"curve": pem(PRIVATE), "next": pem(NEXT), OLD_KID: OLD_SECRET}
    key_ring.cache_clear()
    yield
    key_ring.cache_clear()


def login(anyone: APIClient) -> dict[str, Any]:
    response = anyone.post("/api/v1/auth/login", {"email": "alice@acme.test", "password": PASSWORD}, format="json")
    assert response.status_code == 200, response.content
    return dict(response.json())


@pytest.mark.django_db(transaction=True)
def test_a_client_that_knows_only_the_address_of_the_keys_verifies_a_running_servers_token(
    database_url: str, alice: Actor, tmp_path: Path
):
    secrets = tmp_path / "jwt_signing_keys"
    secrets.write_text(f"curve:{pem(PRIVATE)},{OLD_KID}:{OLD_SECRET}\n")
    extra = {"JWT_SIGNING_KEYS_FILE": str(secrets), "PUBLIC_URL": settings.PUBLIC_URL}
    with launch(database_url, workers=1, extra_env=extra) as server:
        pair = call(server, "POST", "/api/v1/auth/login", {"email": "alice@acme.test", "password": PASSWORD}).body
        client = jwt.PyJWKClient(f"{server}{KEYS}")
        key = client.get_signing_key_from_jwt(pair["access_token"])
        claims = jwt.decode(
            pair["access_token"],
            key.key,
            algorithms=["ES256"],
            audience=settings.JWT_AUDIENCE,
            issuer=settings.JWT_ISSUER,
        )

        # What the secret from before signed works on, and leads over to the new key.
        before = call(server, "GET", ME, headers={"Authorization": f"Bearer {alice.pair.access_token}"})
        renewed = call(server, "POST", "/api/v1/auth/refresh", {"refresh_token": alice.pair.refresh_token})

    assert (claims["sub"], claims["wid"], claims["typ"]) == (str(alice.user.id), str(alice.workspace.id), "access")
    assert (before.status, renewed.status) == (200, 200)
    assert jwt.get_unverified_header(renewed.body["access_token"]) == {"alg": "ES256", "typ": "JWT", "kid": "curve"}
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(pair["refresh_token"], key.key, algorithms=["ES256"], audience=settings.JWT_AUDIENCE)


def test_the_list_holds_public_halves_alone_and_may_be_kept(curve_keys, anyone):
    response = anyone.get(KEYS)

    keys = response.json()["keys"]
    assert [(key["kid"], key["kty"], key["crv"], key["alg"], key["use"]) for key in keys] == [
        ("curve", "EC", "P-256", "ES256", "sig"),
        ("next", "EC", "P-256", "ES256", "sig"),
    ]
    assert all(key.keys() == {"kid", "kty", "crv", "x", "y", "alg", "use"} for key in keys)
    assert response["Cache-Control"] == "public, max-age=300"
    assert "Set-Cookie" not in response and "Cookie" not in response.get("Vary", "")
    assert OLD_SECRET not in response.content.decode()


def test_secrets_alone_publish_nothing(anyone, db):
    assert anyone.get(KEYS).json() == {"keys": []}


def test_a_key_verifies_before_it_signs_and_after(curve_keys, settings, anyone, alice):
    first = login(anyone)
    settings.JWT_SIGNING_KEYS = {"next": pem(NEXT), "curve": pem(PRIVATE)}
    key_ring.cache_clear()
    second = login(anyone)

    kids = [jwt.get_unverified_header(pair["access_token"])["kid"] for pair in (first, second)]
    assert kids == ["curve", "next"]
    assert [bearer(pair["access_token"]).get(ME).status_code for pair in (first, second)] == [200, 200]
    body = {"refresh_token": first["refresh_token"]}
    assert anyone.post("/api/v1/auth/refresh", body, format="json").status_code == 200

    settings.JWT_SIGNING_KEYS = {"next": pem(NEXT)}
    key_ring.cache_clear()
    assert [bearer(pair["access_token"]).get(ME).status_code for pair in (first, second)] == [401, 200]


def test_a_private_key_written_in_another_way_is_the_same_key(curve_keys, settings, anyone, alice):
    pair = login(anyone)
    other_form = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    settings.JWT_SIGNING_KEYS = {"curve": other_form}
    key_ring.cache_clear()

    assert bearer(pair["access_token"]).get(ME).status_code == 200
    body = {"refresh_token": pair["refresh_token"]}
    assert anyone.post("/api/v1/auth/refresh", body, format="json").status_code == 200


def segment(value: bytes | dict[str, Any]) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hmac(claims: dict[str, Any], secret: bytes, kid: Any) -> str:
    """Return an HS256 token by any bytes; PyJWT itself would refuse some."""
    signed = f"{segment({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{segment(claims)}"
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), 'sha256'))}"


def jwk_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return json.dumps(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)).encode()


def signed(claims: dict[str, Any], key: Any, algorithm: str, **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers=headers)


LARGE = ec.generate_private_key(ec.SECP384R1())
FORGERIES: dict[str, Any] = {
    "HMAC with the public PEM": lambda c: by_hmac(c, public_pem(PRIVATE), "curve"),
    "HMAC with the public PEM, no last newline": lambda c: by_hmac(c, public_pem(PRIVATE).strip(), "curve"),
    "HMAC with the public JWK": lambda c: by_hmac(c, jwk_bytes(PRIVATE), "curve"),
    "HMAC with the public point": lambda c: by_hmac(
        c, PRIVATE.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), "curve"
    ),
    "HMAC with nothing": lambda c: by_hmac(c, b"", "curve"),
    "HMAC with the secret from before under the curve's kid": lambda c: by_hmac(c, OLD_SECRET.encode(), "curve"),
    "HMAC with the refresh token's secret": lambda c: by_hmac(c, key_ring("refresh").keys["curve"].signs, "curve"),
    "the curve's signature under the secret's kid": lambda c: signed(c, PRIVATE, "ES256", kid=OLD_KID),
    "the next key's signature under the first's kid": lambda c: signed(c, NEXT, "ES256", kid="curve"),
    "a stranger's signature": lambda c: signed(c, STRANGERS, "ES256", kid="curve"),
    "a stranger's signature with its key beside": lambda c: signed(
        c, STRANGERS, "ES256", kid="curve", jwk=json.loads(jwk_bytes(STRANGERS))
    ),
    "a stranger's signature with its address beside": lambda c: signed(
        c, STRANGERS, "ES256", kid="curve", jku="http://127.0.0.1:1/jwks.json"
    ),
    "a stranger's signature, kid an address": lambda c: signed(c, STRANGERS, "ES256", kid="http://127.0.0.1:1/jwks"),
    "our signature, kid in capitals": lambda c: signed(c, PRIVATE, "ES256", kid="CURVE"),
    "our signature without a kid": lambda c: signed(c, PRIVATE, "ES256"),
    "alg none": lambda c: f"{segment({'alg': 'none', 'kid': 'curve'})}.{segment(c)}.",
    "ES384": lambda c: signed(c, LARGE, "ES384", kid="curve"),
    "alg ES384 over our signature": lambda c: reheaded(signed(c, PRIVATE, "ES256", kid="curve"), alg="ES384"),
    "a signature of zeros": lambda c: reheaded(signed(c, PRIVATE, "ES256", kid="curve")) + segment(bytes(64)),
    "a signature of one byte": lambda c: reheaded(signed(c, PRIVATE, "ES256", kid="curve")) + segment(b"\0"),
}


def reheaded(token: str, **headers: Any) -> str:
    """Return the token with another header and, where none is given, with an empty signature."""
    header = {**jwt.get_unverified_header(token), **headers}
    _, payload, signature = token.split(".")
    return f"{segment(header)}.{payload}.{signature if headers else ''}"


@pytest.mark.parametrize("name", FORGERIES)
def test_what_everybody_knows_forges_nothing(curve_keys, anyone, alice, name):
    good = login(anyone)["access_token"]
    claims = jwt.decode(good, options={"verify_signature": False})
    assert bearer(signed(claims, PRIVATE, "ES256", kid="curve")).get(ME).status_code == 200

    response = bearer(FORGERIES[name](claims)).get(ME)

    assert (response.status_code, response.json()["error_code"]) == (401, "invalid_token")


def test_a_refresh_token_is_no_access_token_and_the_other_way(curve_keys, anyone, alice):
    pair = login(anyone)

    assert bearer(pair["refresh_token"]).get(ME).status_code == 401
    body = {"refresh_token": pair["access_token"]}
    assert anyone.post("/api/v1/auth/refresh", body, format="json").status_code == 401
