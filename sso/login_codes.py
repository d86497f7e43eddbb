"""Login codes: what a round trip to a provider ends in, traded once for a token pair by whoever holds the verifier."""

import base64
import hashlib
import hmac
import re
import uuid
from dataclasses import fields

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from social_django.models import UserSocialAuth

from accounts.audit import Action, Person, record
from accounts.devices import AccountChanged
from accounts.login import InvalidOtp, OtpRequired, check_second_factor
from accounts.models import Membership, User, Workspace
from accounts.principal import Client
from accounts.sso_requirement import BY_SAML
from accounts.tokens import TokenPair, issue
from spatialflow import clock
from spatialflow.errors import ApiError
from spatialflow.throttling import Throttled
from sso.login import method_of
from sso.models import SECOND_FACTOR_PATIENCE, LoginCode
from sso.saml_serving import find_by_name
from sso.saml_sessions import ProviderSession, sign_in_member
from sso.workspace_login import EntryRefused, hold_entry

CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url
KEPT = ("user_id", "workspace_id", "provider", "code_challenge", "client_state", "account_is_new", "begun_at")
CLIENT_STATE = re.compile(r"[\x21-\x7e]{1,500}")


class InvalidLoginCode(ApiError):
    """Unknown, expired or spent, or its person may not come in any more: one answer for all."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "This login code is invalid, expired or already used. Begin the sign-in again."
    default_code = "invalid_login_code"


class VerifierMismatch(ApiError):
    default_detail = "code_verifier does not fit this sign-in's code_challenge. Begin the sign-in again."
    default_code = "pkce_failed"


class ClientStateMismatch(ApiError):
    default_detail = "state is not the one that this sign-in was begun with. Begin the sign-in again."
    default_code = "state_mismatch"


class UnusableChallenge(ApiError):
    default_detail = (
        "code_challenge must be the SHA-256 of a code verifier in base64url, with code_challenge_method=S256 and a "
        "state of 1 to 500 printable characters."
    )
    default_code = "invalid_code_challenge"


def refuse_unusable_challenge(code_challenge: str, method: str, client_state: str) -> None:
    """Let pass a challenge by S256 (RFC 7636) together with a state, or none of them. Raises `UnusableChallenge`."""
    if not code_challenge and not method and not client_state:
        return
    if (
        method not in ("", "S256")
        or not CHALLENGE.fullmatch(code_challenge)
        or not CLIENT_STATE.fullmatch(client_state)
    ):
        raise UnusableChallenge()


def trade(
    request: Request, code: str, code_verifier: str, client_state: str, otp: str | None = None
) -> tuple[TokenPair, bool]:
    """Spend a login code for a token pair; return that, and whether the sign-in has made the account.

    The code is gone whatever comes of it, so a stolen one can be tried once. It goes together with what comes of it,
    under the lock of its person: whoever ends sign-ins comes before, and takes the code away, or after, and ends the
    sign-in. Raises `InvalidLoginCode`, `VerifierMismatch`, `ClientStateMismatch`; where the account has a second
    factor, which a workspace's own provider stands for, `OtpRequired`, `InvalidOtp` and `Throttled` with the `code` for
    the next try, for SECOND_FACTOR_PATIENCE at most.
    """
    found = LoginCode.objects.find(code)
    if found is None:
        raise InvalidLoginCode()
    with transaction.atomic():
        _lock(found)
        row = LoginCode.objects.consume(code)
        try:
            if row is None:
                raise InvalidLoginCode()
            _refuse_stranger(row, code_verifier, client_state, Client.of(request))
            return _redeem(request, row, otp), row.account_is_new
        except ApiError as error:
            refusal = error
    raise refusal  # only now that the code's end is committed


def _lock(row: LoginCode) -> None:
    """Lock the person of a code until the caller's transaction ends; before them the workspace whose provider vouched
    for them, as `hold_entry` does.
    """
    if method_of(row.provider) == BY_SAML:
        Workspace.objects.lock(row.workspace_id)
    User.objects.select_for_update(no_key=True).filter(id=row.user_id).first()


def _refuse_stranger(row: LoginCode, code_verifier: str, client_state: str, client: Client) -> None:
    """Raise `VerifierMismatch` or `ClientStateMismatch`, recorded, for somebody who did not begin the sign-in."""
    if not hmac.compare_digest(challenge_of(code_verifier), row.code_challenge):
        raise _refused(row, client, VerifierMismatch())
    if not hmac.compare_digest(client_state.encode("utf-8", "surrogatepass"), row.client_state.encode()):
        raise _refused(row, client, ClientStateMismatch())


def _redeem(request: Request, row: LoginCode, otp: str | None) -> TokenPair:
    """Sign in the person of a code that is spent; nothing stays of a sign-in that fails."""
    client = Client.of(request)
    try:
        if method_of(row.provider) == BY_SAML:
            return _trade_of_workspace(row, client)
        membership = _membership_of(row)
        _ask_for_factor(request, row, membership.user, otp)
        with transaction.atomic():
            _refuse_unbound(row)
            return issue(membership, method_of(row.provider), client)
    except (AccountChanged, IntegrityError):
        raise InvalidLoginCode() from None


def find_waiting(code: str, code_verifier: str, client_state: str) -> Membership | None:
    """Return whom a code would sign in where, if whoever has it may trade it; leave it unspent."""
    row = LoginCode.objects.find(code)
    fits = row is not None and hmac.compare_digest(challenge_of(code_verifier), row.code_challenge)
    if not fits or row.client_state != client_state:
        return None
    return (
        Membership.objects.select_related("user", "workspace")
        .filter(user_id=row.user_id, workspace_id=row.workspace_id)
        .first()
    )


def _membership_of(row: LoginCode) -> Membership:
    """Return the membership in which a code signs in. Raises `InvalidLoginCode` where it may not any more, and where
    everybody's sign-ins in the workspace were ended since it began: that takes codes away without the person's lock,
    and so may have missed the one for the next try of a second factor.
    """
    members = Membership.objects.select_related("user", "workspace").filter(user__is_active=True)
    is_ended = Q(workspace__sign_ins_ended_at__gte=row.begun_at)
    here = members.filter(user_id=row.user_id, workspace_id=row.workspace_id, workspace__suspended_at=None)
    membership = here.exclude(is_ended).first()
    if membership is None:
        raise InvalidLoginCode()
    return membership


def _ask_for_factor(request: Request, row: LoginCode, user: User, otp: str | None) -> None:
    """Spend a code of the second factor of `user`, if they have one."""
    if not user.has_second_factor:
        return
    try:
        check_second_factor(request, user, otp)
    except (OtpRequired, InvalidOtp, Throttled) as refusal:
        # Its own code is spent. The verifier and the state have fitted, so this goes to whoever began.
        if timezone.now() < row.begun_at + SECOND_FACTOR_PATIENCE:
            refusal.extra["code"] = LoginCode.objects.issue(**{name: getattr(row, name) for name in KEPT})
        raise


def _refuse_unbound(row: LoginCode) -> None:
    """Raise `InvalidLoginCode` where the identity that a code came by is gone, or was bound anew since: whoever takes
    it away holds the lock of its person, too.
    """
    bound = UserSocialAuth.objects.filter(user_id=row.user_id, provider=row.provider, created__lte=row.begun_at)
    if not bound.exists():
        raise InvalidLoginCode()


def _trade_of_workspace(row: LoginCode, client: Client) -> TokenPair:
    """Return the pair for what the workspace's own provider vouched for, if that still may and its session goes on."""
    provider = find_by_name(row.provider)
    has_ended = row.session_ends_at is not None and row.session_ends_at <= clock.now()
    if provider is None or provider.workspace_id != row.workspace_id or has_ended:
        raise InvalidLoginCode()
    session = ProviderSession(*(getattr(row, field.name) for field in fields(ProviderSession)))
    try:
        with transaction.atomic():
            hold_entry(provider, row.domain)
            return sign_in_member(_membership_of(row), provider, session, client)
    except EntryRefused:
        raise InvalidLoginCode() from None


def forget_of_person(user_id: uuid.UUID) -> None:
    """Let no login code of a person become a sign-in any more."""
    LoginCode.objects.filter(user_id=user_id).delete()


def forget_of_workspace(workspace_id: uuid.UUID) -> None:
    """Let no login code become a sign-in in a workspace any more."""
    LoginCode.objects.filter(workspace_id=workspace_id).delete()


def challenge_of(code_verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    hashed = hashlib.sha256(code_verifier.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


def _refused(row: LoginCode, client: Client, refusal: ApiError) -> ApiError:
    """Leave a trace: whoever has a code and not its verifier has probably stolen it."""
    record(
        Action.SIGN_IN_FAILED,
        client,
        "A login code was presented by somebody who did not begin its sign-in.",
        workspace_id=row.workspace_id,
        target=Person(row.user_id, row.user.email),
        resource=("user", row.user_id),
        changes={"provider": row.provider, "reason": refusal.default_code},
        status_code=refusal.status_code,
    )
    return refusal
