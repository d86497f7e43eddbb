"""Replacing a password, with a mailed link or with the old one, and signing in by it."""

from typing import Any

from rest_framework.test import APIClient

from accounts import mailed_tokens
from tests.support.cast import Actor

CONFIRM = "/api/v1/auth/password-reset/confirm"
CHANGE = "/api/v1/auth/change-password"
LOGIN = "/api/v1/auth/login"
NEW = "an entirely new password"
INVALID_LINK = {
    "detail": "This link is invalid, expired or already used. Ask for a new one.",
    "error_code": "invalid_link",
}


def confirm(client: APIClient, token: Any, password: Any = NEW) -> Any:
    return client.post(CONFIRM, {"token": token, "password": password}, format="json")


def log_in(client: APIClient, password: str) -> int:
    status: int = client.post(LOGIN, {"email": "alice@acme.test", "password": password}, format="json").status_code
    return status


def mailed_secret(actor: Actor, purpose: str = "reset_password") -> str:
    return mailed_tokens.make(actor.user, purpose, actor.user.email)
