"""A stand-in for Apple on loopback, and for a Google that can lie: no provider that one can install posts its answer as
a form, names a person once, or wants a client secret that we sign.

It is strict where Apple is: the client secret's signature and claims, PKCE, the redirect URI, and codes that work once
are really checked. And it lies on request: `claims` are laid over those of every id token, `token_endpoint` answers
instead of the real one.
"""

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

APPLE_CLIENT, APPLE_TEAM, APPLE_KEY = "test.spatialflow.web", "TEAM123456", "KEY7654321"
GOOGLE_CLIENT, GOOGLE_SECRET = "web.apps.google.test", "google-client-secret-of-tests"
DANA = {"sub": "000123.dana", "email": "dana@person.test", "email_verified": True}
team_key = ec.generate_private_key(ec.SECP256R1())
signing_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE_KEY = team_key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


@dataclass
class StandIn:
    """One provider. `person` is who is at the browser, `full_name` what a form tells on the first visit."""

    issuer: str = ""
    client_id: str = APPLE_CLIENT
    knows_client: Callable[["StandIn", str], bool] = lambda provider, secret: is_apples_secret(provider.issuer, secret)
    person: dict[str, Any] = field(default_factory=lambda: dict(DANA))
    full_name: tuple[str, str] = ("Dana", "Doe")
    claims: dict[str, Any] = field(default_factory=dict)
    token_endpoint: Callable[["Handler"], None] | None = None
    grants: dict[str, dict[str, str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    redeemed: list[dict[str, str]] = field(default_factory=list)

    def consent(self, authorization_url: str) -> dict[str, str]:
        """Return what comes back to the redirect URI when the person consents to this request."""
        asked = dict(parse_qsl(urlsplit(authorization_url).query))
        code = secrets.token_urlsafe(16)
        self.grants[code] = asked
        answer = {"code": code, "state": asked["state"]}
        if asked.get("response_mode") == "form_post" and self.person["sub"] not in self.seen:
            first, last = self.full_name
            answer["user"] = json.dumps({"name": {"firstName": first, "lastName": last}, "email": self.person["email"]})
        self.seen.add(self.person["sub"])
        return answer

    def page(self, authorization_url: str) -> str:
        """Return a page with what a person can do; it sends the browser back as Apple does, by a form of its own."""
        asked = dict(parse_qsl(urlsplit(authorization_url).query))
        denied = {"error": "user_cancelled_authorize", "state": asked["state"]}
        if (asked["client_id"], asked.get("response_mode")) != (self.client_id, "form_post"):
            return "<p>invalid request"
        return "".join(
            f"<form method=post action='{html.escape(asked['redirect_uri'])}'>"
            + "".join(f"<input type=hidden name={name} value='{html.escape(value)}'>" for name, value in fields.items())
            + f"<button>{label}</button></form>"
            for label, fields in (("Continue", self.consent(authorization_url)), ("Cancel", denied))
        )

    def redeem(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return the token endpoint's answer."""
        self.redeemed.append(form)
        if form.get("client_id") != self.client_id or not self.knows_client(self, form.get("client_secret", "")):
            return 400, {"error": "invalid_client"}
        asked = self.grants.pop(form.get("code", ""), None)
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
        if (
            asked is None
            or asked["redirect_uri"] != form.get("redirect_uri")
            or (asked["code_challenge_method"], asked["code_challenge"]) != ("S256", challenge)
        ):
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        return 200, {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": "provider-refresh-token",
            "id_token": self.id_token(asked["nonce"], access_token),
        }

    def id_token(self, nonce: str, access_token: str) -> str:
        hashed = hashlib.sha256(access_token.encode()).digest()[:16]
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 600,
            "nonce": nonce,
            "at_hash": base64.urlsafe_b64encode(hashed).rstrip(b"=").decode(),
            **self.person,
            **self.claims,
        }
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(said, signing_key, "RS256", headers={"kid": "k1"})

    def settings(self) -> dict[str, Any]:
        """Return the settings under which our service signs in here, as Google's or as Apple's."""
        if self.client_id == GOOGLE_CLIENT:
            own = {"CLIENT_IDS": [GOOGLE_CLIENT, "ios.apps.google.test"], "CLIENT_SECRET": GOOGLE_SECRET}
            return {f"GOOGLE_{name}": value for name, value in (own | self._addresses()).items()}
        own = {"CLIENT_IDS": [APPLE_CLIENT], "TEAM_ID": APPLE_TEAM, "KEY_ID": APPLE_KEY, "PRIVATE_KEY": PRIVATE_KEY}
        addresses = self._addresses() | {"REVOKE_URL": f"{self.issuer}/revoke"}
        return {f"APPLE_{name}": value for name, value in (own | addresses).items()}

    def environment(self) -> dict[str, str]:
        """Return the same as environment variables."""
        return {name: ",".join(v) if isinstance(v, list) else v for name, v in self.settings().items()}

    def _addresses(self) -> dict[str, Any]:
        return {
            "ISSUER": self.issuer,
            "JWKS_URL": f"{self.issuer}/keys",
            "AUTHORIZATION_URL": f"{self.issuer}/authorize",
            "TOKEN_URL": f"{self.issuer}/token",
        }


def is_apples_secret(issuer: str, raw: str) -> bool:
    """Return whether Apple would take this client secret: ES256 by the team's key, for Apple, of at most ten minutes
    (it would take six months; we want less).
    """
    try:
        claims = jwt.decode(
            raw,
            team_key.public_key(),
            algorithms=["ES256"],
            audience=issuer,
            issuer=APPLE_TEAM,
            options={"require": ["iss", "iat", "exp", "aud", "sub"]},
        )
    except jwt.InvalidTokenError:
        return False
    is_short = claims["exp"] - claims["iat"] <= 600
    return is_short and claims["sub"] == APPLE_CLIENT and jwt.get_unverified_header(raw)["kid"] == APPLE_KEY


class Handler(BaseHTTPRequestHandler):
    provider: StandIn

    def do_GET(self) -> None:
        if self.path.startswith("/authorize?"):
            return self.say(200, "text/html", self.provider.page(self.path).encode())
        if self.path == "/keys":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key.public_key()))
            return self.say_json(200, {"keys": [key | {"kid": "k1", "use": "sig", "alg": "RS256"}]})
        return self.say_json(404, {})

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        if self.provider.token_endpoint is not None:
            return self.provider.token_endpoint(self)
        return self.say_json(*self.provider.redeem(form))

    def say_json(self, status: int, body: Any) -> None:
        self.say(status, "application/json", json.dumps(body).encode())

    def say(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    """Whoever is cut off while this lies slowly or at length is right to hang up."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass


@contextmanager
def serve(provider: StandIn) -> Iterator[StandIn]:
    """Run a provider on a free port of 127.0.0.1."""
    handler = type("ProvidersHandler", (Handler,), {"provider": provider})
    with QuietServer(("127.0.0.1", 0), handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


def lying_google() -> StandIn:
    return StandIn(client_id=GOOGLE_CLIENT, knows_client=lambda provider, secret: secret == GOOGLE_SECRET)
