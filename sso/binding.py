"""The cookie that binds a round trip to its browser: it comes back across sites, so that Apple can post its answer.

It is no credential: it only shows that the callback belongs to the browser that began.
"""

import re
import secrets

from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request

from sso.models import STATE_LIFETIME, UNASKED_LIFETIME

# With this prefix browsers take a cookie from this very host alone, over https (or from localhost): a neighbour under
# the same domain, or whoever answers for it over http, could otherwise give a browser a secret of theirs, and lead it
# to the end of a sign-in that they began. It must be on the path /, and the dashboard begins round trips, too: all of a
# browser's have one secret, so that two tabs do not break each other.
BINDING_COOKIE = "__Host-sso"
VERIFIER_COOKIE = "__Host-arrival"
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def browser_secret(request: HttpRequest | Request) -> str:
    """Return the secret of the browser, or nothing where it has none of ours."""
    return _read(request, BINDING_COOKIE)


def secret_to_begin_with(request: HttpRequest | Request) -> str:
    """Return the secret of the browser, a new one where it has none: one is kept while a round trip is under way."""
    return browser_secret(request) or secrets.token_urlsafe(32)


def _read(request: HttpRequest | Request, name: str) -> str:
    raw = request.COOKIES.get(name, "")
    return raw if SECRET.fullmatch(raw) else ""


def bind(response: HttpResponseBase, secret: str) -> None:
    """Let the browser keep its secret as long as a round trip may take."""
    response.set_cookie(BINDING_COOKIE, secret, max_age=STATE_LIFETIME, secure=True, httponly=True, samesite="None")


def keep_verifier(response: HttpResponseBase, verifier: str) -> None:
    """Let the browser keep what shows that a login code came to it, for the one page that trades it."""
    response.set_cookie(VERIFIER_COOKIE, verifier, max_age=UNASKED_LIFETIME, secure=True, httponly=True, samesite="Lax")


def kept_verifier(request: HttpRequest) -> str:
    return _read(request, VERIFIER_COOKIE)


def drop_verifier(response: HttpResponseBase) -> None:
    response.set_cookie(VERIFIER_COOKIE, "", max_age=0, secure=True, httponly=True, samesite="Lax")
