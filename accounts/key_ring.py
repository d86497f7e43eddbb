"""The keys that sign tokens: which of them signs, which verify, each with the one algorithm that it is for.

A key of JWT_SIGNING_KEYS is a secret (HS256) or the private key of an elliptic curve (ES256), whose public half anybody
may fetch to verify access tokens with. Refresh tokens concern nobody else: they are signed by a secret derived from the
key, of either kind.
"""

import hashlib
import hmac
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.conf import settings
from jwt.algorithms import ECAlgorithm, HMACAlgorithm
from jwt.utils import base64url_decode, base64url_encode
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError

REQUIRED_CLAIMS = frozenset({"iss", "aud", "sub", "sid", "wid", "typ", "jti", "iat", "exp"})
PEM_BEGINS = "-----BEGIN "


@dataclass(frozen=True)
class SigningKey:
    """One key and its algorithm. What verifies is another object than what signs where the algorithm is asymmetric."""

    algorithm: str
    signs: Any
    verifies: Any

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm}, …)"  # traces print values; these never


class CheckedSecret(HMACAlgorithm):
    """HS256 by a secret that was checked once: PyJWT asks at each token whether it is not some other kind of key, which
    takes longer than the signature.
    """

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else super().prepare_key(key)


SECRETS = CheckedSecret(HMACAlgorithm.SHA256)


def _signing_key(configured: str, purpose: str) -> SigningKey:
    if not configured.startswith(PEM_BEGINS):
        # An access token's secret is as configured, so that other services of the platform can verify with it.
        return _secret_key(configured if purpose == "access" else _derive(configured.encode(), purpose))
    private = load_pem_private_key(configured.encode(), password=None)
    assert isinstance(private, EllipticCurvePrivateKey)  # noqa: S101 - settings.py takes no other
    if purpose == "access":
        return SigningKey("ES256", private, private.public_key())
    # The number, however its file is written.
    return _secret_key(_derive(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), purpose))


def _secret_key(secret: str) -> SigningKey:
    checked = SECRETS.prepare_key(secret)
    return SigningKey("HS256", checked, checked)


def _derive(key: bytes, purpose: str) -> str:
    return hmac.new(key, purpose.encode(), hashlib.sha256).hexdigest()


class KeyRing(TokenBackend):
    """Sign with the first key of JWT_SIGNING_KEYS and verify with any of them, chosen by `kid` from that fixed map
    alone.

    The algorithm is the key's, never the token's (RFC 8725 section 3.1): a public key, which everybody has, is never
    taken for a secret. `jwk`, `jku`, `x5u` and the like are not looked at (3.10).
    """

    def __init__(self, purpose: str) -> None:
        self.keys = {kid: _signing_key(key, purpose) for kid, key in settings.JWT_SIGNING_KEYS.items()}
        self.signing_kid = next(iter(self.keys))
        algorithm = self.keys[self.signing_kid].algorithm
        super().__init__(algorithm, audience=settings.JWT_AUDIENCE, issuer=settings.JWT_ISSUER)
        self.jws = jwt.PyJWS(algorithms=["ES256"])
        self.jws.register_algorithm("HS256", SECRETS)
        # An access token is sent with each request for hours, and its signature stays as good as it is; a refresh token
        # is sent once. What else decides whether it counts is asked each time.
        self._signed_claims = lru_cache(4096 if purpose == "access" else 0)(self._verified_claims)

    def encode(self, payload: dict[str, Any]) -> str:
        claims = {**payload, "iss": self.issuer, "aud": self.audience}
        key = self.keys[self.signing_kid]
        return self.jws.encode(orjson.dumps(claims), key.signs, key.algorithm, headers={"kid": self.signing_kid})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token whose signature, issuer and audience hold. `SignedToken.verify` judges its
        times. Raises simplejwt's backend errors.
        """
        return dict(self._signed_claims(token))

    def _verified_claims(self, token: str) -> dict[str, Any]:
        try:
            key = self.get_verifying_key(token)
            verified = self.jws.decode_complete(token, key.verifies, algorithms=[key.algorithm])
            claims: dict[str, Any] = orjson.loads(verified["payload"])
        except (jwt.InvalidTokenError, ValueError) as error:
            raise TokenBackendError("Token is invalid") from error
        # Header and claims are signed as they are spelled, the signature is not: it has one spelling (RFC 7515 section
        # 2), or copies of one token would each take a place among the verified.
        if not token.endswith("." + base64url_encode(verified["signature"]).decode()):
            raise TokenBackendError("Token is invalid")
        # None of ours has `nbf`, so nobody judges it (RFC 7519 section 4.1.5).
        if type(claims) is not dict or not claims.keys() >= REQUIRED_CLAIMS or "nbf" in claims:
            raise TokenBackendError("Token is invalid")
        if claims["iss"] != self.issuer or claims["aud"] != self.audience:
            raise TokenBackendError("Token is invalid")
        return claims

    def get_verifying_key(self, token: Any) -> SigningKey:
        try:  # the header alone: all of it is checked with the signature
            kid = orjson.loads(base64url_decode(token.partition(".")[0]))["kid"]
            return self.keys[kid]
        except (ValueError, TypeError, KeyError):
            raise TokenBackendError("Token is invalid") from None


@cache
def key_ring(purpose: str) -> KeyRing:
    return KeyRing(purpose)


def public_keys() -> list[dict[str, Any]]:
    """Return the keys that verify access tokens and may be known to everybody, as a JWK Set lists them (RFC 7517).

    A key that is to sign later is among them: whoever caches the list has it in time.
    """
    return [
        {**ECAlgorithm.to_jwk(key.verifies, as_dict=True), "use": "sig", "alg": key.algorithm, "kid": kid}
        for kid, key in key_ring("access").keys.items()
        if isinstance(key.verifies, EllipticCurvePublicKey)
    ]
