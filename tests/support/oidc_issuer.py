"""A provider on loopback that signs whatever a test asks for: Google's and Apple's keys, tokens and revocation in one.

It can lie, dawdle, rotate its keys and fall over. Its signatures are real, and so are its requests: nothing of ours
knows that it is not Google.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from rest_framework.test import APIClient

GOOGLE = "/api/v1/auth/google/token-exchange"
APPLE = "/api/v1/auth/apple/token-exchange"
NONCE = "/api/v1/auth/apple/nonce"

GOOGLE_CLIENTS = ("web.apps.google.test", "ios.apps.google.test")
APPLE_CLIENTS = ("test.spatialflow.web", "test.spatialflow.ios")
TEAM, KEY_ID = "TEAM123456", "KEY1234567"


class Absent:
    """In place of a claim's value: the claim is not there."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """Return the key of that name, a `weak` one too; it takes a moment to make, so tests share them."""
    return rsa.generate_private_key(65537, 1024 if name == "weak" else 2048)


@cache
def apple_key() -> ec.EllipticCurvePrivateKey:
    """Return our key for Apple, with which client secrets are signed."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(kid: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": kid, "use": "sig", "alg": "RS256"}


def encoded(value: Any) -> str:
    """Return base64url of bytes, of a text, or of anything else as JSON."""
    raw = value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


Answer = Callable[["Handler"], None]


class Issuer:
    """The running provider. `behave` replaces what one of its addresses answers; `seen` lists what was asked of it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.keys = {"first": rsa_key("first")}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.codes: dict[str, dict[str, Any]] = {}
        self.behaviour: dict[str, Answer] = {}

    # --- What it signs

    def sign(self, claims: dict[str, Any], kid: str = "first", **headers: Any) -> str:
        return jwt.encode(claims, self.keys[kid], "RS256", headers={"kid": kid, **headers})

    def google_claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.url, "aud": GOOGLE_CLIENTS[0], "iat": now, "exp": now + 3600, "sub": "109"}
        claims |= {"email": "grace@example.com", "email_verified": True, "name": "Grace Hopper"}
        claims |= {"jti": secrets.token_hex(8)}
        claims |= {"jti": secrets.token_hex(8)}  # as Google's, so that two of one second differ
        return without_absent({**claims, **changes})

    def google_token(self, **changes: Any) -> str:
        return self.sign(self.google_claims(**changes))

    def apple_claims(self, nonce: str | None, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.url, "aud": APPLE_CLIENTS[1], "iat": now, "exp": now + 600, "sub": "001.ada.0001"}
        claims |= {"email": "ada@example.com", "email_verified": "true", "nonce": nonce, "nonce_supported": True}
        return without_absent({**claims, **changes})

    def apple_token(self, nonce: str | None, **changes: Any) -> str:
        return self.sign(self.apple_claims(nonce, **changes))

    def apple_code(self, subject: str = "001.ada.0001", client_id: str = APPLE_CLIENTS[1]) -> str:
        """Return an authorization code, which the token endpoint takes once."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = {"sub": subject, "aud": client_id}
        return code

    def notification(self, kind: str, subject: str = "001.ada.0001", **changes: Any) -> str:
        now = int(time.time())
        events = json.dumps({"type": kind, "sub": subject, "event_time": now * 1000})
        claims = {"iss": self.url, "aud": APPLE_CLIENTS[0], "iat": now, "jti": secrets.token_hex(8), "events": events}
        return self.sign(without_absent({**claims, **changes}))

    # --- What it is

    def environment(self) -> dict[str, str]:
        """Return the settings by which our service knows this provider as both Google and Apple."""
        addresses = {"ISSUER": "", "JWKS_URL": "/keys", "AUTHORIZATION_URL": "/authorize", "TOKEN_URL": "/token"}
        return {
            **{f"{name}_{part}": self.url + path for name in ("GOOGLE", "APPLE") for part, path in addresses.items()},
            "GOOGLE_CLIENT_IDS": ",".join(GOOGLE_CLIENTS),
            "GOOGLE_CLIENT_SECRET": "a secret of Google's",
            "APPLE_REVOKE_URL": f"{self.url}/revoke",
            "APPLE_CLIENT_IDS": ",".join(APPLE_CLIENTS),
            "APPLE_TEAM_ID": TEAM,
            "APPLE_KEY_ID": KEY_ID,
            "APPLE_PRIVATE_KEY": pem(apple_key()),
        }

    def configure(self, settings: Any) -> None:
        """Make this process know it, for as long as pytest-django's `settings` lasts."""
        for name, text in self.environment().items():
            setattr(settings, name, text.split(",") if name.endswith("_CLIENT_IDS") else text)

    def rotate(self, kid: str) -> None:
        """Sign with a new key from now on, and publish it alone."""
        self.keys = {kid: rsa_key(kid)}

    def behave(self, path: str, answer: Answer | None) -> None:
        if answer is None:
            self.behaviour.pop(path, None)
        else:
            self.behaviour[path] = answer

    def asked(self, path: str) -> int:
        return sum(seen == path for seen, _ in self.seen)


def without_absent(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not ABSENT}


class Handler(BaseHTTPRequestHandler):
    issuer: Issuer
    form: dict[str, str] = {}

    def do_GET(self) -> None:
        self._answer(self._keys)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.form = {name: values[0] for name, values in parse_qs(body).items()}
        self._answer(self._token if self.path == "/token" else self._revoke)

    def _answer(self, usual: Callable[[], None]) -> None:
        self.issuer.seen.append((self.path, self.form))
        unusual = self.issuer.behaviour.get(self.path)
        with suppress(BrokenPipeError, ConnectionResetError):  # the other side did not wait
            unusual(self) if unusual else usual()

    def _keys(self) -> None:
        self.say(200, {"keys": [jwk(kid, key) for kid, key in self.issuer.keys.items()]})

    def _token(self) -> None:
        """Trade a code as Apple does: once, for the client that it was made for, which signs its secret."""
        granted = self.issuer.codes.pop(self.form.get("code", ""), None)
        if not self._knows_the_client():
            self.say(400, {"error": "invalid_client"})
        elif granted is None or granted["aud"] != self.form["client_id"]:
            self.say(400, {"error": "invalid_grant"})
        else:
            kid = next(iter(self.issuer.keys))
            now = int(time.time())
            claims = {"iss": self.issuer.url, "iat": now, "exp": now + 600, **granted}
            tokens = {"id_token": self.issuer.sign(claims, kid), "refresh_token": f"r.{granted['sub']}"}
            self.say(200, {"access_token": "a.1", "token_type": "Bearer", "expires_in": 3600, **tokens})

    def _revoke(self) -> None:
        self.say(200 if self._knows_the_client() else 400, {})

    def _knows_the_client(self) -> bool:
        try:
            secret = jwt.decode(
                self.form["client_secret"], apple_key().public_key(), ["ES256"], audience=self.issuer.url, issuer=TEAM
            )
        except (jwt.PyJWTError, KeyError):
            return False
        kid = jwt.get_unverified_header(self.form["client_secret"])["kid"]
        return (secret["sub"], kid) == (self.form["client_id"], KEY_ID) and secret["exp"] - secret["iat"] <= 600

    def say(self, status: int, body: Any, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Run a provider on a free port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Issuer(server.server_address[1])
        server.RequestHandlerClass = type("Handler", (Handler,), {"issuer": running})
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()
        try:
            yield running
        finally:
            server.shutdown()


# --- What apps send


def nonce_for(client: APIClient) -> str:
    nonce: str = client.post(NONCE).json()["nonce"]
    return nonce


def apple_body(provider: Issuer, nonce: str, **changes: Any) -> dict[str, Any]:
    """Return what an app sends after a first sign-in with Apple; `changes` to the token begin with `token_`."""
    claims = {name.removeprefix("token_"): value for name, value in changes.items() if name.startswith("token_")}
    subject = claims.get("sub", "001.ada.0001")
    return {
        "identity_token": provider.apple_token(**{"nonce": nonce, **claims}),
        "authorization_code": provider.apple_code(subject),
        "nonce": nonce,
        "full_name": {"given_name": "Ada", "family_name": "Lovelace"},
        "confirm_new_account": True,
        **{name: value for name, value in changes.items() if not name.startswith("token_")},
    }


# --- How it can misbehave


def slowly(handler: Handler) -> None:
    """One byte now and then, for longer than anybody should wait."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b" ")
        time.sleep(0.5)


def with_a_page(handler: Handler) -> None:
    handler.say(200, b"<html>Sorry!</html>", Content_Type="text/html")


def with_an_error(handler: Handler) -> None:
    handler.say(500, {"error": "server_error"})


def endlessly(handler: Handler) -> None:
    """A gigabyte, for whoever reads that far."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(2**30))
    handler.end_headers()
    for _ in range(2**10):
        handler.wfile.write(b"[" * 2**20)


def elsewhere(handler: Handler) -> None:
    """To the right keys at another address."""
    handler.say(302, b"", Location=f"{handler.issuer.url}/other")


def with_a_list(handler: Handler) -> None:
    handler.say(200, [1])


def with_nesting(handler: Handler) -> None:
    handler.say(200, b"[" * 100_000)


def sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
