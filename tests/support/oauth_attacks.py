"""What an attack on a browser's sign-in by Google or Apple is answered, and that it leaves nothing behind."""

from typing import Any

from social_django.models import UserSocialAuth

from accounts.models import User
from sso.models import LoginCode, OAuthState

INVALID_STATE = {
    "detail": "This sign-in was not begun in this browser, or it has expired. Begin it again.",
    "error_code": "invalid_state",
}


def assert_nothing_was_made() -> None:
    assert (OAuthState.objects.count(), LoginCode.objects.count()) == (0, 0)
    assert (User.objects.count(), UserSocialAuth.objects.count()) == (0, 0)


def assert_refused(response: Any) -> None:
    assert (response.status_code, response.json()) == (400, INVALID_STATE)
