"""Accepting an invitation by its link: who must prove what, and the sign-in that follows.

Whoever invited has seen the link, so it does not prove that its bearer owns the invited address. By itself it opens
nothing but an account that is new, or that nobody has ever been inside; the address of such an account stays
unverified until the mail that is sent then is answered. Any other account proves itself by a sign-in of its own (a
Bearer token) or by its password, which no link ever replaces; whoever has forgotten it, or found that somebody else
signed up with their address, resets it by mail first. Otherwise anybody could invite a stranger into a workspace of
theirs, follow the link themselves, and be the stranger in every workspace.
"""

from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.hashers import check_password
from django.db import transaction
from rest_framework.request import Request

from accounts.audit import Action, Person, record
from accounts.invitations import AccountAppeared, InviteEmailMismatch, NotPending, accept_for_user, lock_acceptable
from accounts.mailed_tokens import digest
from accounts.models import Invitation, MailedToken, Membership, SignIn, User
from accounts.outbox import enqueue
from accounts.passwords import is_hashable, refuse_weak_password
from accounts.principal import Client
from accounts.sso_requirement import BOUND_METHODS, refuse_where_required
from accounts.switching import BoundToWorkspace
from accounts.throttles import LOGIN_BY_EMAIL, charge_email
from accounts.tokens import InvalidToken, TokenPair, issue
from spatialflow.api import read_id
from spatialflow.errors import ApiError, NotFound

BY_PASSWORD, BY_INVITATION = "password", "invitation"  # methods of a sign-in


class PasswordRequired(ApiError):
    """The same for an address without an account: the answer tells nothing."""

    default_detail = (
        "Send a password: the account's own, or a new one if this address has no account. "
        "POST /api/v1/auth/forgot-password helps where it is not known."
    )
    default_code = "password_required"


class WrongPassword(ApiError):
    default_detail = "This is not the password of the account. Reset it with POST /api/v1/auth/forgot-password."
    default_code = "invalid_password"


class SignInRequired(ApiError):
    default_detail = "This account has a second factor. Sign in, then accept with the access token as Bearer."
    default_code = "sign_in_required"


class Proof(NamedTuple):
    """How somebody has proven who they are, and the moment when what proves it ends."""

    method: str
    ends_by: datetime | None = None


def find_open(invite_id: str, token: str) -> Invitation:
    """Return the invitation of a link. Raises `NotFound` for a pair that does not match and for a workspace that is
    suspended, `NotPending` for a right one that was used, revoked or has expired.
    """
    linked = Invitation.objects.filter(id=read_id(invite_id), digest=digest(token), workspace__suspended_at=None)
    invitation = linked.first()
    if invitation is None:
        raise NotFound()
    if invitation.status != "pending":
        raise NotPending(invitation.status)
    return invitation


def refuse_weak_choice(request: Request, invite_id: str, token: str, password: str | None) -> None:
    """Raise the 422 for a password that a new account could not have, before a try with the link is counted.

    Whether the address has an account makes no difference, so the answer does not tell it. The password of a caller
    who is signed in is not looked at.
    """
    if password is None or request.auth is not None:
        return
    linked = Invitation.objects.pending().filter(id=read_id(invite_id), digest=digest(token)).first()
    if linked:
        refuse_weak_password(password, User(email=linked.email))


def accept_by_link(
    request: Request, invite_id: str, token: str, password: str | None, needs_password: bool
) -> TokenPair:
    """Spend the invitation of a link and return a token pair in its workspace.

    Raises `NotFound`, `NotPending`, `InviteEmailMismatch`, `SsoRequired`, `PasswordRequired`, `WrongPassword`,
    `SignInRequired`, `BoundToWorkspace`, `InvalidToken`, `AccountChanged`, `Throttled`, the 422 for a weak password,
    and what `accept_for_user` raises.
    """
    invitation, client = find_open(invite_id, token), Client.of(request)
    if request.auth is not None and request.auth.email != invitation.email:
        raise InviteEmailMismatch()
    if request.auth is None:  # a sign-in that lives has come in as it is demanded
        refuse_where_required(invitation.email)
    user = User.objects.filter(email=invitation.email).first()
    if user is None or _is_untouched(user):
        if needs_password and password is None:
            raise PasswordRequired()
        return _enter_new_account(invitation, user or User(email=invitation.email), password, client)
    find_open(invite_id, token)  # who lost a race to the first acceptance hears of that, not of a password
    proof = _prove(request, user, password, invitation)
    with transaction.atomic():
        membership, _ = accept_for_user(invitation, user, client)  # from here on the user's row is ours
        _refuse_ended_proof(request)
        return issue(_as_proven(membership, user), proof.method, client, ends_by=proof.ends_by)


def _is_untouched(user: User) -> bool:
    """Return whether nobody has ever been inside this account and nobody could come in but by mail.

    An account with a linked identity provider has a verified address, so it is never one of these.
    """
    return (
        user.is_active
        and not user.has_usable_password()
        and user.email_verified_at is None
        and not Membership.objects.filter(user=user).exists()
        and not SignIn.objects.filter(user=user).exists()
    )


def _enter_new_account(invitation: Invitation, user: User, password: str | None, client: Client) -> TokenPair:
    """Make the account, or open the untouched one. Signing up may be closed: who is invited gets an account."""
    if password is not None:
        refuse_weak_password(password, user)
    user.set_password(password)
    with transaction.atomic():
        is_new = user._state.adding
        if not is_new:
            lock_acceptable(invitation)
            user = _hold_untouched(user)
            user.save(update_fields=["password", "updated_at"])
        membership, _ = accept_for_user(invitation, user, client)
        MailedToken.objects.filter(user=user, purpose=MailedToken.Purpose.VERIFY_EMAIL).delete()
        enqueue("verify_email", email=user.email)
        if is_new:
            record(
                Action.SIGNED_UP,
                client,
                "Signed up by an invitation.",
                workspace_id=invitation.workspace_id,
                actor=Person(user.id, user.email),
                resource=("user", user.id),
                status_code=200,
            )
        return issue(_as_now(membership), BY_INVITATION if password is None else BY_PASSWORD, client)


def _hold_untouched(user: User) -> User:
    """Lock the row of an account that nobody has been inside, after the rows of `lock_acceptable`; return it as stored,
    with the password that `user` has in memory. Raises `AccountAppeared` where its owner has come in meanwhile, or may.
    """
    stored = User.objects.select_for_update(no_key=True).filter(id=user.id, email=user.email).first()
    if stored is None or not _is_untouched(stored):
        raise AccountAppeared()
    stored.password = user.password
    return stored


def _prove(request: Request, user: User, password: str | None, invitation: Invitation) -> Proof:
    """Return how the person has proven to be `user`: as their sign-in did, or by their password."""
    if request.auth is not None:  # its address is the invitation's
        sign_in = SignIn.objects.get(id=request.auth.credential_id)
        is_bound = sign_in.method in BOUND_METHODS
        if is_bound and sign_in.workspace_id != invitation.workspace_id:
            raise BoundToWorkspace()
        return Proof(sign_in.method, sign_in.expires_at if is_bound else None)
    if password is None:
        raise PasswordRequired()
    charge_email(LOGIN_BY_EMAIL, request, user.email)  # guessing here is guessing at the login
    matches = is_hashable(password) and check_password(password, user.password)
    if not matches or not user.is_active:
        _record_refusal(user, Client.of(request))
        raise WrongPassword()
    if user.has_second_factor:
        raise SignInRequired()
    return Proof(BY_PASSWORD)


def _record_refusal(user: User, client: Client) -> None:
    record(
        Action.SIGN_IN_FAILED,
        client,
        "Password refused while accepting an invitation.",
        workspace_id=user.home_workspace_id,
        target=Person(user.id, user.email),
        resource=("user", user.id),
        status_code=WrongPassword.status_code,
    )


def _refuse_ended_proof(request: Request) -> None:
    """Raise `InvalidToken` where the sign-in that the caller came by has ended since it was authenticated: whoever ends
    sign-ins of a person locks their row first, so they come before, or after and end the new one, too.
    """
    if request.auth is not None and not SignIn.objects.live().filter(id=request.auth.credential_id).exists():
        raise InvalidToken()


def _as_proven(membership: Membership, user: User) -> Membership:
    """Return the membership as it is stored now, its user as they were when they proved who they are: where password or
    second factor were replaced since, no sign-in comes of it (accounts/devices.py).
    """
    membership = _as_now(membership)
    membership.user.password, membership.user.totp_confirmed_at = user.password, user.totp_confirmed_at
    return membership


def _as_now(membership: Membership) -> Membership:
    """Return the membership with its user and workspace as they are stored now."""
    return Membership.objects.select_related("user", "workspace").get(id=membership.id)
