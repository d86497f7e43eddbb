"""What anybody may ask: status, health, the description; and what was given up."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import OutgoingMail
from accounts.outbox import deliver_pending, enqueue


def test_status_says_who_may_sign_up(anyone, db, settings):
    response = anyone.get("/api/v1/public/status")

    expected = {
        "status": "operational",
        "service": "spatialflow",
        "admin_approval_required": False,
        "signup_is_open": True,
    }
    assert (response.status_code, response.json()) == (200, expected)
    settings.SIGNUP_IS_OPEN = False
    assert anyone.get("/api/v1/public/status").json() == expected | {"signup_is_open": False}


def health(anyone: Any) -> dict[str, Any]:
    response = anyone.get("/api/v1/public/health")
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    assert abs(datetime.fromisoformat(body.pop("timestamp")) - timezone.now()) < timedelta(seconds=30)
    return body


HEALTHY = {"status": "healthy", "service": "public", "checks": {"database": "ok", "email_service": "ok"}}
DEGRADED = {"status": "degraded", "service": "public", "checks": {"database": "ok", "email_service": "degraded"}}


def test_health_is_good_while_mail_goes_out(anyone, db):
    enqueue("verify_email", email="nobody@acme.test")
    assert health(anyone) == HEALTHY

    OutgoingMail.objects.update(created_at=timezone.now() - timedelta(minutes=2))

    assert health(anyone) == DEGRADED
    deliver_pending()
    assert health(anyone) == HEALTHY


def test_health_shows_a_mail_server_that_does_not_answer(anyone, alice, settings):
    enqueue("password_changed", email="alice@acme.test")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 1

    assert deliver_pending() == 0

    assert health(anyone) == DEGRADED


def test_accounts_have_a_health_of_their_own(anyone, db):
    assert anyone.get("/api/v1/account/health").json() == {"status": "healthy", "service": "account"}


def test_the_description_is_at_a_second_address(anyone, db):
    response = anyone.get("/api/v1/public/docs")

    assert response.content == anyone.get("/api/v1/openapi.json").content
    assert {"openapi", "info", "servers"} <= response.json().keys()


def test_the_page_is_named(anyone, db, settings):
    response = anyone.get("/api/v1/public/docs/ui")

    assert response.json() == {
        "message": "The API's description as a page, where every operation can be tried.",
        "docs_url": f"{settings.PUBLIC_URL}/api/v1/docs",
    }


@pytest.mark.parametrize(
    ("path", "instead"),
    [("register", "/api/v1/public/signup"), ("reset-password", "/api/v1/auth/password-reset/confirm")],
)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/json"),
        (b"\xff{[", "application/json"),
        (b"<a/>", "text/xml"),
        (b"", ""),
        (b"x" * 2**21, "x/y"),
    ],
)
def test_what_was_given_up_says_what_to_use(anyone, db, path, instead, body, content_type):
    response = anyone.generic("POST", f"/api/v1/auth/{path}", body, content_type=content_type)

    assert (response.status_code, response.json()) == (
        410,
        {"detail": f"This operation was given up; use POST {instead}.", "error_code": "gone"},
    )
    assert anyone.get(instead).status_code == 405  # it is there
