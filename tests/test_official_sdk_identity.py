"""Signing up, verifying, replacing passwords, and what is public, through the official SDK."""

from typing import Any

import pytest

from accounts import mailed_tokens
from accounts.models import User
from tests.support.cast import PASSWORD, Actor
from tests.support.mails import mail_of, secret_in
from tests.support.sdk import Client, Refusal, Sdk, built, from_dict
from tests.support.sdk_operations import exercises

pytest_plugins = ["tests.support.sdk_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

NEW = "an entirely new password"
INVALID_LINK = Refusal(
    "ValidationError", 400, "This link is invalid, expired or already used. Ask for a new one.", "invalid_link"
)


def log_in(sdk: Sdk, email: str, password: str) -> Any:
    return sdk.client().call("auth.login", login_schema=from_dict("LoginSchema", email=email, password=password))


def secret_mailed(address: str, subject: str) -> str:
    return secret_in(str(mail_of(address, subject).get_payload()))


@exercises("public.signup", "auth.verify_email")
def test_a_signup_is_verified_by_its_mail(sdk: Sdk, anyone_sdk: Client):
    signup = built(
        "SignupRequest", email="dora.sdk@new.test", password=PASSWORD, company="Dora Maps", selected_plan="pro"
    )

    answer = anyone_sdk.call("public.signup", signup_request=signup)
    before = log_in(sdk, "dora.sdk@new.test", PASSWORD)["user"]
    secret = secret_mailed("dora.sdk@new.test", "Verify your email address")
    link = {"verify_email_schema": from_dict("VerifyEmailSchema", token=secret)}
    verified = anyone_sdk.call("auth.verify_email", **link)

    assert answer == {"message": "Look into your mail: what to do next is in it.", "success": True}
    assert verified["email_verified"] is True
    after = log_in(sdk, "dora.sdk@new.test", PASSWORD)["user"]
    assert (before["email_verified"], after["email_verified"]) == (False, True)
    assert (after["role"], after["company"], after["selected_plan"]) == ("owner", "Dora Maps", "pro")
    assert anyone_sdk.refused("auth.verify_email", **link) == INVALID_LINK


@exercises("public.signup")
def test_a_signup_from_a_dict_with_all_its_nulls(anyone_sdk: Client):
    signup = from_dict("SignupRequest", email="emil.sdk@new.test", password=PASSWORD)

    assert anyone_sdk.call("public.signup", signup_request=signup)["success"] is True

    assert User.objects.get().selected_plan == "free"


def test_a_weak_password_is_a_validation_error(anyone_sdk: Client):
    signup = from_dict("SignupRequest", email="emil.sdk@new.test", password="short")

    refusal = anyone_sdk.refused("public.signup", signup_request=signup)

    assert (refusal.kind, refusal.status_code, refusal.error_code) == ("ValidationError", 422, "validation_error")


@exercises("auth.resend_verification", "auth.resend_verification_email", "auth.resend_verification_authenticated")
def test_the_verification_mail_comes_again_in_three_spellings(anyone_sdk: Client, alice_sdk: Client, alice: Actor):
    User.objects.update(email_verified_at=None)
    body = {"resend_verification_schema": from_dict("ResendVerificationSchema", email=alice.user.email)}

    answers = [
        anyone_sdk.call("auth.resend_verification", **body),
        anyone_sdk.call("auth.resend_verification_email", **body),
        alice_sdk.call("auth.resend_verification_authenticated"),
    ]

    assert [answer["success"] for answer in answers] == [True] * 3


@exercises("auth.forgot_password", "auth.password_reset", "auth.confirm_password_reset")
def test_a_forgotten_password_is_replaced(sdk: Sdk, anyone_sdk: Client, alice: Actor):
    User.objects.update(email="alice.sdk@acme.test")
    body = {"forgot_password_schema": from_dict("ForgotPasswordSchema", email="alice.sdk@acme.test")}

    assert anyone_sdk.call("auth.forgot_password", **body)["success"] is True
    secret = secret_mailed("alice.sdk@acme.test", "Set a new password")
    schema = from_dict("ConfirmPasswordResetSchema", token=secret, password=NEW)
    assert anyone_sdk.call("auth.confirm_password_reset", confirm_password_reset_schema=schema)["success"] is True

    assert log_in(sdk, "alice.sdk@acme.test", NEW)["token_type"] == "Bearer"
    again = anyone_sdk.refused("auth.confirm_password_reset", confirm_password_reset_schema=schema)
    assert again == INVALID_LINK
    assert anyone_sdk.call("auth.password_reset", **body)["success"] is True


def test_a_weak_replacement_is_a_validation_error(anyone_sdk: Client, alice: Actor):
    secret = mailed_tokens.make(alice.user, "reset_password", alice.user.email)
    schema = from_dict("ConfirmPasswordResetSchema", token=secret, password="short")

    refusal = anyone_sdk.refused("auth.confirm_password_reset", confirm_password_reset_schema=schema)

    assert (refusal.kind, refusal.status_code) == ("ValidationError", 422)


@exercises("auth.change_password")
def test_a_password_is_changed_by_who_knows_it(sdk: Sdk, alice_sdk: Client, alice: Actor):
    wrong = from_dict("ChangePasswordSchema", current_password="wrong", new_password=NEW)
    right = from_dict("ChangePasswordSchema", current_password=PASSWORD, new_password=NEW)

    refusal = alice_sdk.refused("auth.change_password", change_password_schema=wrong)
    answer = alice_sdk.call("auth.change_password", change_password_schema=right)

    assert refusal == Refusal("ValidationError", 400, "The current password is wrong.", "wrong_password")
    assert answer["success"] is True
    assert alice_sdk.call("auth.me")["email"] == alice.user.email
    assert log_in(sdk, alice.user.email, NEW)["token_type"] == "Bearer"


@exercises("auth.register", "auth.reset_password")
def test_what_was_given_up_says_what_to_use(anyone_sdk: Client):
    register = from_dict("RegisterSchema", email="a@b.test", password=PASSWORD, name="A")
    reset = from_dict("ResetPasswordSchema", uid="x", token="y", new_password=NEW)

    refusals = [
        anyone_sdk.refused("auth.register", register_schema=register),
        anyone_sdk.refused("auth.reset_password", reset_password_schema=reset),
    ]

    assert [(refusal.status_code, refusal.error_code, refusal.detail) for refusal in refusals] == [
        (410, "gone", "This operation was given up; use POST /api/v1/public/signup."),
        (410, "gone", "This operation was given up; use POST /api/v1/auth/password-reset/confirm."),
    ]


@exercises("public.status", "public.health", "public.get_api_docs", "public.swagger_ui", "account.health")
def test_what_is_public_needs_no_credential(anyone_sdk: Client):
    status, health = anyone_sdk.call("public.status"), anyone_sdk.call("public.health")
    docs, page = anyone_sdk.call("public.get_api_docs"), anyone_sdk.call("public.swagger_ui")

    assert (status["status"], status["admin_approval_required"]) == ("operational", False)
    assert health["checks"]["database"] == "ok" and health["timestamp"]
    assert docs["openapi"].startswith("3.") and docs["servers"]
    assert page["docs_url"].endswith("/api/v1/docs")
    assert anyone_sdk.call("account.health") == {"status": "healthy", "service": "account"}
