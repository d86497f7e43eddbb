"""The cookie that binds a round trip to its browser: it comes back across sites, so that Apple can post its answer.

It is no credential: it only shows that the callback belongs to the browser that began.
"""

import re
import secrets

from django.http import HttpResponseBase
from rest_framework.request import Request

from accounts.cookies import PATH
from sso.models import STATE_LIFETIME

BINDING_COOKIE = "spatialflow_sso"
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def browser_secret(request: Request) -> str:
    """Return the secret of the browser, or nothing where it has none of ours."""
    raw = request.COOKIES.get(BINDING_COOKIE, "")
    return raw if SECRET.fullmatch(raw) else ""


def bind(response: HttpResponseBase, secret: str) -> None:
    """Let the browser keep its secret as long as a round trip may take."""
    response.set_cookie(
        BINDING_COOKIE, secret, max_age=STATE_LIFETIME, path=PATH, secure=True, httponly=True, samesite="None"
    )


def new_browser_secret() -> str:
    return secrets.token_urlsafe(32)
