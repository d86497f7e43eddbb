"""Whoever has no password is told so where one is asked for, and how to get it; nothing is done meanwhile."""

import pytest
from rest_framework.test import APIClient

from accounts.models import MailedToken, User
from tests.support.cast import PASSWORD, bearer
from tests.support.mails import delivered
from tests.support.oidc_issuer import GOOGLE, Issuer
from tests.support.totp import code
from tests.support.urls import EXAMPLE_ID

pytest_plugins = ["tests.support.oidc_fixtures"]
pytestmark = pytest.mark.django_db

NOT_SET = {
    "detail": "This account has no password that could confirm this. Set one by the mail of POST "
    "/api/v1/auth/forgot-password, sign in again, and then repeat this with it.",
    "error_code": "password_not_set",
}
PATHS = {
    "totp": {},
    "totp/remove": {"otp": "123456"},
    "totp/recovery-codes": {"otp": "123456"},
    "change-email": {"new_email": "ada@new.test"},
    "change-password": {"new_password": "another horse, another staple"},
}


@pytest.fixture
def ada(anyone: APIClient, provider: Issuer) -> APIClient:
    """Signed in by Google, without a password."""
    body = anyone.post(GOOGLE, {"id_token": provider.google_token(email="ada@example.com")}, format="json").json()
    return bearer(body["access_token"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("guess", [PASSWORD, "x", EXAMPLE_ID])
def test_what_takes_the_password_says_that_there_is_none(ada: APIClient, path: str, guess: str):
    answer = ada.post(f"/api/v1/auth/{path}", {"current_password": guess, **PATHS[path]}, format="json")

    assert (answer.status_code, answer.json()) == (409, NOT_SET)
    assert not MailedToken.objects.filter(purpose="change_email").exists()
    assert User.objects.get(email="ada@example.com").totp_secret == ""


def test_what_it_says_leads_to_a_second_factor(anyone: APIClient, ada: APIClient):
    anyone.post("/api/v1/auth/forgot-password", {"email": "ada@example.com"}, format="json")
    [link] = [sent.body for sent in delivered() if "token=" in sent.body and sent.to == ["ada@example.com"]]
    secret = link.partition("token=")[2].split()[0]
    chosen = {"token": secret, "password": PASSWORD}
    assert anyone.post("/api/v1/auth/password-reset/confirm", chosen, format="json").status_code == 200
    login = {"email": "ada@example.com", "password": PASSWORD}
    again = bearer(anyone.post("/api/v1/auth/login", login, format="json").json()["access_token"])

    begun = again.post("/api/v1/auth/totp", {"current_password": PASSWORD}, format="json")
    confirmed = again.post("/api/v1/auth/totp/confirm", {"otp": code(begun.json()["secret"])}, format="json")

    assert (begun.status_code, confirmed.status_code) == (200, 200)
