"""Signing in with email and password."""

import logging

from django.contrib.auth.hashers import check_password, make_password
from django.core.exceptions import ValidationError
from django.db.models import Case, When
from rest_framework import status

from accounts.audit import NOBODY, Action, Person, record
from accounts.emails import canonical_email
from accounts.models import Membership, User
from accounts.passwords import is_hashable
from accounts.principal import Client
from accounts.tokens import TokenPair, issue
from spatialflow.errors import ApiError

logger = logging.getLogger(__name__)


class InvalidCredentials(ApiError):
    """One answer for an unknown address, a wrong password, an account without a password and an inactive one."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Invalid credentials"
    default_code = "invalid_credentials"


class NoWorkspace(ApiError):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "This account belongs to no workspace. Ask a workspace owner for an invitation."
    default_code = "no_workspace"


def log_in(email: str, password: str, client: Client) -> TokenPair:
    """Return a token pair for the right password. Raises `InvalidCredentials`, at the same cost whatever is wrong."""
    user = find_user(email)
    if not _password_matches(user, password) or user is None or not user.is_active:
        _record_failure(user, client)
        raise InvalidCredentials()
    return issue(membership_to_enter(user), "password", client)


def _record_failure(user: User | None, client: Client) -> None:
    """Leave a trace of a refused login; an address that nobody has here is not kept."""
    logger.info("login refused from %s", client.ip)
    record(
        Action.SIGN_IN_FAILED,
        client,
        "Password refused.",
        workspace_id=user.last_workspace_id if user else None,
        target=Person(user.id, user.email) if user else NOBODY,
        resource=("user", user.id if user else ""),
        status_code=InvalidCredentials.status_code,
    )


def find_user(typed_email: str) -> User | None:
    try:
        return User.objects.filter(email=canonical_email(typed_email)).first()
    except ValidationError:
        return None


def _password_matches(user: User | None, password: str) -> bool:
    """Check the password, at the cost of exactly one hash for any short enough password, known account or not."""
    if not is_hashable(password):
        return False
    if user is None or not user.has_usable_password():
        make_password(password)
        return False

    def upgrade(raw: str) -> None:
        user.set_password(raw)
        user.save(update_fields=["password"])

    return check_password(password, user.password, upgrade)


def membership_to_enter(user: User) -> Membership:
    """Return the membership a new sign-in starts in: the last chosen workspace, else the oldest. Raises
    `NoWorkspace`.
    """
    last_chosen_first = Case(When(workspace_id=user.last_workspace_id, then=0), default=1)
    memberships = Membership.objects.filter(user=user, workspace__suspended_at=None).select_related("workspace")
    membership = memberships.order_by(last_chosen_first, "created_at", "id").first()
    if membership is None:
        raise NoWorkspace()
    membership.user = user
    return membership
