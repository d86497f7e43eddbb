"""The limits of requests, as their tests use them up, and the time that a window leaves."""

import time
import zlib
from datetime import datetime

from rest_framework.test import APIClient

LOGIN = "/api/v1/auth/login"
REFRESH = "/api/v1/auth/refresh"
GEOFENCES = "/api/v1/geofences"


def wait_for_room(*identities: str, seconds: int = 12) -> None:
    """Let a window that ends soon end, so that a burst at a running server falls into one window."""
    for identity in (*identities, *identities):
        left = (zlib.crc32(identity.encode()) - int(datetime.now().timestamp())) % 60
        if left < seconds:
            time.sleep(left + 1)


def wrong_login(email: str) -> dict[str, str]:
    return {"email": email, "password": "not this one"}


def exhaust_email(anyone: APIClient, email: str = "target@acme.test") -> None:
    for _ in range(15):
        assert anyone.post(LOGIN, wrong_login(email), format="json").status_code == 401
