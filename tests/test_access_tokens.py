"""Access tokens: what is read, what is refused, and that a dead sign-in's tokens die with the next request."""

import base64
import json
import time
import uuid
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Membership, SignIn, User, Workspace
from tests.support.cast import Actor, bearer

ME = "/api/v1/auth/me"
GEOFENCES = "/api/v1/geofences"
SECRET = next(iter(settings.JWT_SIGNING_KEYS.values()))
KID = next(iter(settings.JWT_SIGNING_KEYS))


def claims_of(alice: Actor, **changes: Any) -> dict[str, Any]:
    claims = jwt.decode(alice.pair.access_token, options={"verify_signature": False})
    return {name: value for name, value in {**claims, **changes}.items() if value is not ...}


def sign(claims: dict[str, Any], *, secret: str = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    return jwt.encode(claims, secret, algorithm, headers={"kid": KID, **headers})


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_says_only_ids(alice):
    header, claims = jwt.get_unverified_header(alice.pair.access_token), claims_of(alice)

    assert header == {"alg": "HS256", "typ": "JWT", "kid": KID}
    assert set(claims) == {"iss", "aud", "sub", "sid", "wid", "typ", "jti", "iat", "exp"}
    assert (claims["sub"], claims["wid"]) == (str(alice.user.id), str(alice.workspace.id))
    assert claims["exp"] - claims["iat"] == 4 * 3600


def test_our_own_signing_in_the_tests_makes_a_valid_token(alice):
    """So that the forgeries below are refused for what is forged in them and nothing else."""
    assert bearer(sign(claims_of(alice))).get(ME).status_code == 200


FORGERIES: dict[str, Any] = {
    "alg none": lambda a: f"{segment({'alg': 'none', 'kid': KID})}.{segment(claims_of(a))}.",
    "alg NoNe": lambda a: f"{segment({'alg': 'NoNe', 'kid': KID})}.{segment(claims_of(a))}.",
    "alg missing": lambda a: f"{segment({'kid': KID})}.{segment(claims_of(a))}.AAAA",
    "alg a list": lambda a: f"{segment({'alg': ['HS256'], 'kid': KID})}.{segment(claims_of(a))}.AAAA",
    "HS384 with our key": lambda a: sign(claims_of(a), algorithm="HS384"),
    "HS512 with our key": lambda a: sign(claims_of(a), algorithm="HS512"),
    "another key": lambda a: sign(claims_of(a), secret="x" * 40),
    "Django's SECRET_KEY": lambda a: sign(claims_of(a), secret=settings.SECRET_KEY),
    "no kid": lambda a: jwt.encode(claims_of(a), SECRET, "HS256"),
    "unknown kid": lambda a: sign(claims_of(a), kid="../../etc/passwd"),
    "kid of 5 kB": lambda a: sign(claims_of(a), kid="k" * 5000),
    "crit with an unknown name": lambda a: sign(claims_of(a), crit=["exotic"], exotic=1),
    "own jwk in the header": lambda a: sign(claims_of(a), secret="y" * 40, jwk={"kty": "oct", "k": segment("y" * 40)}),
    "jku in the header": lambda a: sign(claims_of(a), secret="y" * 40, jku="http://127.0.0.1:1/keys"),
    "expired": lambda a: sign(claims_of(a, exp=int(time.time()) - 1)),
    "exp missing": lambda a: sign(claims_of(a, exp=...)),
    "exp text": lambda a: sign(claims_of(a, exp="9999999999")),
    "exp a boolean": lambda a: sign(claims_of(a, exp=True)),
    "exp a float": lambda a: sign(claims_of(a, exp=time.time() + 100.5)),
    "exp huge": lambda a: sign(claims_of(a, exp=10**400)),
    "exp NaN": lambda a: sign(claims_of(a, exp=float("nan"))),
    "iat missing": lambda a: sign(claims_of(a, iat=...)),
    "iat an hour ahead": lambda a: sign(claims_of(a, iat=int(time.time()) + 3600)),
    "iat null": lambda a: sign(claims_of(a, iat=None)),
    "nbf ahead": lambda a: sign(claims_of(a, nbf=int(time.time()) + 3600)),
    "iss missing": lambda a: sign(claims_of(a, iss=...)),
    "iss longer": lambda a: sign(claims_of(a, iss=settings.JWT_ISSUER + "/")),
    "iss a part": lambda a: sign(claims_of(a, iss=settings.JWT_ISSUER[:-1])),
    "aud foreign": lambda a: sign(claims_of(a, aud="another-api")),
    "aud a list with ours": lambda a: sign(claims_of(a, aud=[settings.JWT_AUDIENCE, "another-api"])),
    "sub missing": lambda a: sign(claims_of(a, sub=...)),
    "sub a number": lambda a: sign(claims_of(a, sub=7)),
    "sub a list": lambda a: sign(claims_of(a, sub=[str(a.user.id)])),
    "sub no id": lambda a: sign(claims_of(a, sub="' OR 1=1 --")),
    "sub of nobody": lambda a: sign(claims_of(a, sub=str(uuid.uuid4()))),
    "sid missing": lambda a: sign(claims_of(a, sid=...)),
    "sid an object": lambda a: sign(claims_of(a, sid={})),
    "wid of nobody": lambda a: sign(claims_of(a, wid=str(uuid.uuid4()))),
    "jti missing": lambda a: sign(claims_of(a, jti=...)),
    "jti a number": lambda a: sign(claims_of(a, jti=1)),
    "typ missing": lambda a: sign(claims_of(a, typ=...)),
    "typ refresh": lambda a: sign(claims_of(a, typ="refresh")),
    "the refresh token": lambda a: a.pair.refresh_token,
    "tampered payload": lambda a: ".".join(
        [
            a.pair.access_token.split(".")[0],
            segment(claims_of(a, wid=str(uuid.uuid4()))),
            a.pair.access_token.split(".")[2],
        ]
    ),
    "empty signature": lambda a: a.pair.access_token.rpartition(".")[0] + ".",
    "padded": lambda a: a.pair.access_token + "=",
    "unused bits set": lambda a: a.pair.access_token[:-1] + chr(ord(a.pair.access_token[-1]) + 1),
    "a sign of no alphabet in the signature": lambda a: a.pair.access_token[:-4] + "!" + a.pair.access_token[-4:],
    "four parts": lambda a: a.pair.access_token + ".x",
    "broken base64": lambda a: "e_.*_.x",
    "nested brackets": lambda a: f"{base64.urlsafe_b64encode(b'[' * 2900).decode()}.{segment({})}.AAAA",
    "a list": lambda a: f"{segment([])}.{segment([])}.AAAA",
    "Latin-1": lambda a: "\xff\xfe",
    "1 MB": lambda a: "a" * 1_000_000,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_a_plain_401(alice, name):
    begun = time.process_time()
    response = bearer(FORGERIES[name](alice)).get(ME)

    assert response.status_code == 401
    expired = name == "expired"
    assert response.json() == {
        "detail": "Token expired" if expired else "Invalid or expired token",
        "error_code": "token_expired" if expired else "invalid_token",
    }
    assert response["WWW-Authenticate"] == 'Bearer realm="spatialflow", error="invalid_token"'
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "form", ["Token {}", "Bearer  {}", "Bearer {} x", "Bearer {}, Bearer {}", "Bearer", "", "Basic {}", "{}"]
)
def test_only_one_bearer_token_in_the_header_is_a_credential(anyone, alice, form):
    header = form.format(alice.pair.access_token, alice.pair.access_token)

    assert anyone.get(ME, headers={"Authorization": header}).status_code == 401


def test_a_token_elsewhere_is_no_credential(anyone, alice):
    token = alice.pair.access_token
    anyone.cookies["access_token"] = token

    assert anyone.get(f"{ME}?access_token={token}&token={token}").status_code == 401


def test_no_credential_is_a_401_that_says_what_to_send(anyone, db):
    for path in (ME, GEOFENCES, "/api/v1/account/api-keys"):
        response = anyone.get(path)

        assert response.status_code == 401
        assert "X-API-KEY" in response.json()["detail"]
        assert response["WWW-Authenticate"] == 'Bearer realm="spatialflow"'


def test_two_credentials_are_refused(alice):
    _, raw = alice.make_key()
    both = APIClient(headers={"Authorization": f"Bearer {alice.pair.access_token}", "X-API-KEY": raw})

    response = both.get(GEOFENCES)

    assert response.status_code == 400
    assert response.json()["error_code"] == "two_credentials"


@pytest.mark.parametrize("cause", ["revoked", "deactivated", "removed", "deleted", "suspended", "sign-in expired"])
def test_a_dead_sign_ins_token_dies_with_the_next_request(alice, cause):
    assert alice.client.get(GEOFENCES).status_code == 200
    if cause == "revoked":
        SignIn.objects.filter(id=alice.sign_in_id).revoke("test")
    elif cause == "deactivated":
        User.objects.filter(id=alice.user.id).update(is_active=False)
    elif cause == "removed":
        Membership.objects.filter(user=alice.user).delete()
    elif cause == "deleted":
        User.objects.filter(id=alice.user.id).delete()
    elif cause == "suspended":
        Workspace.objects.update(suspended_at=timezone.now())
    else:
        SignIn.objects.update(expires_at=timezone.now() - timedelta(minutes=1))

    assert alice.client.get(GEOFENCES).status_code == 401


def test_a_role_counts_as_it_is_now(alice):
    assert alice.client.post("/api/v1/account/api-keys", {}, format="json").status_code == 201
    Membership.objects.filter(user=alice.user).update(role="member")

    response = alice.client.post(GEOFENCES, {"name": "x"}, format="json")

    assert response.status_code == 403
    assert response.json() == {
        "detail": "Insufficient permissions: this request needs the scope geofences:write.",
        "error_code": "insufficient_permissions",
    }
    assert response["WWW-Authenticate"] == (
        'Bearer realm="spatialflow", error="insufficient_scope", scope="geofences:write"'
    )


def test_a_request_costs_one_query_to_authenticate(alice, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert alice.client.get(GEOFENCES).status_code == 200
