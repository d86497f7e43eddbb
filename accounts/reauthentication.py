"""Asking a signed-in person for their password again, before what a stolen token must not be able to do."""

from rest_framework import status
from rest_framework.request import Request

from accounts.models import User
from accounts.passwords import is_hashable
from accounts.throttles import REAUTHENTICATION
from accounts.tokens import InvalidToken
from spatialflow.errors import ApiError, Conflict


class WrongPassword(ApiError):
    """400 and not 401: the access token is fine, and a client should not try to refresh it."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = "The current password is wrong."
    default_code = "wrong_password"


class PasswordNotSet(Conflict):
    """A fresh sign-in by a provider is no way around it: whoever has stolen a token soon after that would have one."""

    default_detail = (
        "This account has no password that could confirm this. Set one by the mail of POST "
        "/api/v1/auth/forgot-password, sign in again, and then repeat this with it."
    )
    default_code = "password_not_set"


def confirm_password(request: Request, current_password: str) -> User:
    """Return the caller, who knows their password. Raises `WrongPassword`, `PasswordNotSet`; `Throttled` after
    REAUTHENTICATION.
    """
    user = charge_attempt(request)
    if not user.has_usable_password():
        raise PasswordNotSet()
    if not is_hashable(current_password) or not user.check_password(current_password):
        raise WrongPassword()
    return user


def lock_unchanged(user: User) -> None:
    """Lock a user's row until the caller's transaction ends, so that nothing replaces the password that was checked
    before what it allows is done. Raises `WrongPassword` where that happened already.
    """
    stored = User.objects.select_for_update(no_key=True).filter(id=user.id, password=user.password, is_active=True)
    if not stored.values_list("id"):
        raise WrongPassword()


def charge_attempt(request: Request) -> User:
    """Return the caller, whose tries at their own password or second factor are counted. Raises `Throttled`."""
    REAUTHENTICATION.charge(request, str(request.auth.user_id))
    user = User.objects.filter(id=request.auth.user_id).first()
    if user is None:  # deleted since this request was authenticated
        raise InvalidToken()
    return user
