"""The refresh cookie: for browsers, beside the body. Only `auth/refresh` and the two ways to sign out read it; a token
in the body wins.
"""

from django.http import HttpResponseBase
from rest_framework.request import Request

from accounts.tokens import Tokens

REFRESH_COOKIE = "spatialflow_refresh"
PATH = "/api/v1/auth/"


def set_refresh_cookie(response: HttpResponseBase, pair: Tokens) -> None:
    """Let the browser keep the refresh token where no script can read it (HttpOnly) and no other site can send it
    (Strict).
    """
    response.set_cookie(
        REFRESH_COOKIE,
        pair.refresh_token,
        expires=pair.refresh_expires_at,
        path=PATH,
        secure=True,
        httponly=True,
        samesite="Strict",
    )


def clear_refresh_cookie(response: HttpResponseBase) -> None:
    response.set_cookie(REFRESH_COOKIE, "", max_age=0, path=PATH, secure=True, httponly=True, samesite="Strict")


def refresh_cookie(request: Request) -> str:
    return request.COOKIES.get(REFRESH_COOKIE, "")
