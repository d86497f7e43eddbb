"""The second factor, for tests of it: its addresses, its refusals, and signing in with a code."""

import pytest
from rest_framework.test import APIClient

from tests.support.cast import PASSWORD, Actor
from tests.support.totp import TOTP, wait_for_an_early_moment

LOGIN = "/api/v1/auth/login"
CONFIRM = f"{TOTP}/confirm"
CODES = f"{TOTP}/recovery-codes"
REQUIRED = {
    "detail": "This account has a second factor: send its code, or a recovery code, as otp.",
    "error_code": "otp_required",
}
REFUSED = {
    "detail": "This code is wrong, expired or already used. Wait for the next one.",
    "error_code": "invalid_otp",
}


def post(client: APIClient, path: str, **body: object):
    return client.post(path, body, format="json")


@pytest.fixture(autouse=True)
def early_in_a_half_minute() -> None:
    wait_for_an_early_moment()


def log_in(anyone: APIClient, actor: Actor, password: str = PASSWORD, **otp: object):
    return post(anyone, LOGIN, email=actor.user.email, password=password, **otp)
