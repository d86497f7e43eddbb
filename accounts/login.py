"""Signing in with email and password."""

import logging
from dataclasses import dataclass

from django.contrib.auth.hashers import check_password, make_password
from django.core.exceptions import ValidationError
from django.db import transaction
from rest_framework import status
from rest_framework.request import Request

from accounts.audit import NOBODY, Action, Person, record
from accounts.emails import canonical_email
from accounts.joined_rows import JoinedRow, find_joined
from accounts.models import Membership, User, Workspace
from accounts.passwords import is_hashable
from accounts.principal import Client
from accounts.second_factor import spend
from accounts.sso_requirement import FROM_DEMANDING, SsoRequired, domain_of
from accounts.throttles import SECOND_FACTOR
from accounts.tokens import TokenPair, issue
from accounts.workspaces import create_workspace, personal_workspace_name
from spatialflow.errors import ApiError
from spatialflow.throttling import keep_charges

logger = logging.getLogger(__name__)

# SQL over m and w, the memberships of somebody and their workspaces: in which a new sign-in begins.
IS_OPEN = "w.suspended_at IS NULL"
LAST_CHOSEN_ELSE_OLDEST = "w.id IS NOT DISTINCT FROM {last_chosen} DESC, m.created_at, m.id"

# Every login asks this. Where single sign-on is demanded of the domain, it looks for no account, so that not even the
# time tells of one: the inner condition has no column, and decides whether the table is opened at all.
FIND_ACCOUNT = f"""
WITH demanding AS MATERIALIZED (SELECT r.* {FROM_DEMANDING})
SELECT {{columns}} FROM (VALUES (1)) AS one
LEFT JOIN demanding r ON true
LEFT JOIN LATERAL (
    SELECT * FROM accounts_user WHERE email = %(email)s AND NOT EXISTS (SELECT FROM demanding) OFFSET 0
) u ON true
LEFT JOIN LATERAL (
    SELECT m.id, m.workspace_id FROM accounts_membership m JOIN accounts_workspace w ON w.id = m.workspace_id
    WHERE m.user_id = u.id AND {IS_OPEN} ORDER BY {LAST_CHOSEN_ELSE_OLDEST.format(last_chosen="u.last_workspace_id")}
    LIMIT 1
) entered ON true
LEFT JOIN accounts_membership m ON m.id = entered.id
LEFT JOIN accounts_workspace w ON w.id = entered.workspace_id
"""  # noqa: S608
MEMBERSHIP_TO_ENTER = f"""
SELECT {{columns}} FROM accounts_membership m JOIN accounts_workspace w ON w.id = m.workspace_id
WHERE m.user_id = %(user_id)s AND {IS_OPEN}
ORDER BY {LAST_CHOSEN_ELSE_OLDEST.format(last_chosen="%(last_chosen)s::uuid")} LIMIT 1
"""  # noqa: S608


class InvalidCredentials(ApiError):
    """One answer for an unknown address, a wrong password, an account without a password and an inactive one."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Invalid credentials"
    default_code = "invalid_credentials"


class NoWorkspace(ApiError):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "Every workspace of this account is suspended. Ask the operator of this service."
    default_code = "no_workspace"


class OtpRequired(ApiError):
    """Said only to whoever knows the password."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "This account has a second factor: send its code, or a recovery code, as otp."
    default_code = "otp_required"


class InvalidOtp(ApiError):
    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "This code is wrong, expired or already used. Wait for the next one."
    default_code = "invalid_otp"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it was found by its address."""

    user: User
    row: JoinedRow

    def membership(self) -> Membership | None:
        """Return the membership that a new sign-in starts in, as `membership_to_enter` would find it."""
        return _membership(self.row, self.user)


def log_in(request: Request, email: str, password: str, otp: str | None = None) -> TokenPair:
    """Return a token pair for the right password and, where the account has a second factor, its code.

    Raises what `prove_password` and `enter` raise.
    """
    account = prove_password(request, email, password)
    return enter(request, account.user, otp, account.membership())


def prove_password(request: Request, email: str, password: str) -> Account:
    """Return whose email and password these are; sign nobody in.

    Raises `SsoRequired` for the domain alone, before anything is looked up or hashed; `InvalidCredentials`, at the same
    cost whatever is wrong.
    """
    account = find_account(email)
    user = account.user if account else None
    if not _password_matches(user, password) or account is None or not account.user.is_active:
        _record_failure(user, Client.of(request), "Password refused.")
        raise InvalidCredentials()
    return account


def enter(request: Request, user: User, otp: str | None = None, membership: Membership | None = None) -> TokenPair:
    """Return a token pair for a person who has proven their password, as loaded then, once their second factor holds.
    It begins in `membership`, or else in `membership_to_enter`.

    Raises `OtpRequired`, `InvalidOtp`, `Throttled` for too many codes, `NoWorkspace`, and what `issue` raises.
    """
    if user.has_second_factor:
        check_second_factor(request, user, otp)
    client = Client.of(request)
    return issue(membership or membership_to_enter(user, client), "password", client)


def check_second_factor(request: Request, user: User, otp: str | None) -> None:
    """Spend a code of the person's second factor. Raises `OtpRequired`, `InvalidOtp`, `Throttled`."""
    if not otp:
        raise OtpRequired()
    keep_charges(request)  # a password was hashed, or a provider's word was read
    SECOND_FACTOR.charge(request, str(user.id))
    client = Client.of(request)
    if not spend(user, otp, client):
        _record_failure(user, client, "Second factor refused.")
        raise InvalidOtp()


def _record_failure(user: User | None, client: Client, description: str) -> None:
    """Leave a trace of a refused login; an address that nobody has here is not kept."""
    logger.info("login refused from %s", client.ip)
    record(
        Action.SIGN_IN_FAILED,
        client,
        description,
        workspace_id=user.home_workspace_id if user else None,
        target=Person(user.id, user.email) if user else NOBODY,
        resource=("user", user.id if user else ""),
        status_code=InvalidCredentials.status_code,
    )


def find_account(typed_email: str) -> Account | None:
    """Return whose address this is. Raises `SsoRequired` for the domain alone. One query."""
    try:
        email = canonical_email(typed_email)
    except ValidationError:
        return None
    tables = (("r", Workspace), ("u", User), ("m", Membership), ("w", Workspace))
    row = find_joined(FIND_ACCOUNT, {"email": email, "domain": domain_of(email)}, tables)
    if row is None:
        return None
    if demanding := row.get("r"):
        raise SsoRequired(demanding.slug)
    user = row.get("u")
    return user and Account(user, row)


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


def membership_to_enter(user: User, client: Client) -> Membership:
    """Return the membership a new sign-in starts in: the last chosen workspace, else the oldest. Raises
    `NoWorkspace`.

    Whoever belongs to none any more gets one of their own: nobody is locked out by leaving.
    """
    parameters = {"user_id": user.id, "last_chosen": user.last_workspace_id}
    row = find_joined(MEMBERSHIP_TO_ENTER, parameters, (("m", Membership), ("w", Workspace)))
    membership = _membership(row, user) if row else None
    if membership is None:
        membership = _make_workspace(user, client)
        membership.user = user
    return membership


def _membership(row: JoinedRow, user: User) -> Membership | None:
    membership: Membership | None = row.get("m")
    if membership is not None:
        membership.user, membership.workspace = user, row.get("w")
    return membership


def refuse_without_workspace(user: User) -> None:
    """Raise `NoWorkspace` where `membership_to_enter` would; change nothing."""
    # In one statement: between two, the account could be deleted, and its person told of a suspension that never was.
    suspensions = Membership.objects.filter(user=user).values_list("workspace__suspended_at", flat=True)
    if suspensions and None not in suspensions:
        raise NoWorkspace()


@transaction.atomic
def _make_workspace(user: User, client: Client) -> Membership:
    if not User.objects.select_for_update(no_key=True).filter(id=user.id).exists():  # two logins at once make one
        raise InvalidCredentials()  # the account was deleted meanwhile
    made_meanwhile = Membership.objects.filter(user=user).select_related("workspace").order_by("created_at").first()
    if made_meanwhile is None:
        return create_workspace(user, personal_workspace_name(user), client)
    if made_meanwhile.workspace.suspended_at is not None:
        raise NoWorkspace()
    return made_meanwhile
