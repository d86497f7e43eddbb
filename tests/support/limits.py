"""The limits of requests, as their tests use them up, and the time that a window leaves."""

import time
import zlib

from rest_framework.test import APIClient

LOGIN = "/api/v1/auth/login"
REFRESH = "/api/v1/auth/refresh"
GEOFENCES = "/api/v1/geofences"


def has_room(identity: str, seconds: int = 40) -> bool:
    """Return whether the current window of a limit a minute lasts so long yet for this identity."""
    return (zlib.crc32(identity.encode()) - int(time.time())) % 60 >= seconds


def with_room(form: str) -> str:
    """Return a name of this form, such as 127.0.0.{}, that has room: a burst at a running server falls into one window,
    and no test waits for the next to begin.
    """
    return next(name for name in map(form.format, range(2, 255)) if has_room(name))


def wrong_login(email: str) -> dict[str, str]:
    return {"email": email, "password": "not this one"}


def exhaust_email(anyone: APIClient, email: str = "target@acme.test") -> None:
    for _ in range(15):
        assert anyone.post(LOGIN, wrong_login(email), format="json").status_code == 401
