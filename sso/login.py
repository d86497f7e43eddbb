"""The linking policy for Google and Apple, and nothing else: whose account an identity opens that a provider vouches
for. What a workspace's own provider may do is decided in sso/workspace_login.py.

An identity is (provider, subject). Once it is bound, only that counts: an address that changes at the provider changes
nothing here. An unknown one binds by its address only where both sides have verified it. An account whose address
nobody has verified may have been made by somebody else in wait for the owner: it is neither handed over nor made
trustworthy by the owner's sign-in. The owner resets its password by mail first, which shuts out whoever knew the old
one.

Whoever has a second factor shows its code at these sign-ins too, before anything is bound or spent: otherwise the
mailbox at the provider would open what the factor is there to guard.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework import status
from social_django.models import UserSocialAuth

from accounts.audit import Action, Person, record
from accounts.devices import AccountChanged
from accounts.invitations import InviteEmailMismatch, accept_for_user, lock_acceptable
from accounts.login import InvalidCredentials, membership_to_enter, refuse_without_workspace
from accounts.models import Invitation, Membership, User
from accounts.outbox import enqueue
from accounts.principal import Client
from accounts.signup import SignupClosed
from accounts.sso_requirement import refuse_where_required
from accounts.tokens import TokenPair, issue
from accounts.workspaces import create_workspace, personal_workspace_name
from spatialflow.errors import ApiError, Conflict

Result = TypeVar("Result")
MAIL_TO_ANSWER = (
    "There is an account with your email address that nobody has proven to own. Answer its verification mail, which "
    "POST /api/v1/auth/resend-verification sends once more; then sign in again."
)


@dataclass(frozen=True)
class Identity:
    """Who somebody is, by the verified words of a provider: `google`, `apple`, or `saml-` and the connection's id."""

    provider: str
    subject: str
    email: str | None  # canonical; None where the provider names nothing that is an address
    email_is_verified: bool
    name: str = ""


@dataclass(frozen=True)
class Terms:
    """What a sign-in brings along, and what may come of it."""

    invitation: Invitation | None = None
    may_create: bool = True  # an account that nobody was invited to
    shown_factor: datetime | None = None  # the second factor whose code was shown, by the moment it was set up
    asks_for_factor_later: bool = False  # whoever trades the login code shows it
    binding_id: int | None = None  # by which the sign-in began, where it has had another step before this


class Account(NamedTuple):
    """Whom an identity opens: nobody where an account is to be made; by no binding where their addresses agree."""

    user: User | None
    binding_id: int | None


@dataclass(frozen=True)
class Entry:
    """The account that an identity opens, in the workspace where its sign-in begins."""

    membership: Membership
    created: bool
    consumed_invite_id: str | None = None
    already_member: bool | None = None


class AccountRefused(ApiError):
    """The identity names an account that it does not open; `user` is for the audit trail."""

    def __init__(self, user: User, detail: str | None = None) -> None:
        super().__init__(detail)
        self.user = user


class AccountInactive(AccountRefused):
    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "This account is deactivated. Ask the operator of this service."
    default_code = "account_inactive"


class EmailMissing(ApiError):
    """Apple names the address the first time only; later the subject has to be known."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = (
        "The provider did not say your email address, and it does not sign in to any account here yet. Remove this app "
        "from your account at the provider, then sign in again and share the address."
    )
    default_code = "email_missing"


class EmailUnverifiedAtProvider(Conflict):
    default_detail = "Your email address is not verified at the provider. Verify it there, then sign in again."
    default_code = "email_not_verified_at_provider"


class EmailUnverifiedHere(AccountRefused):
    status_code = status.HTTP_409_CONFLICT
    default_detail = (
        "There is an account with your email address that nobody has proven to own. Set a new password for it with "
        "POST /api/v1/auth/forgot-password, whoever chose the present one; then sign in again."
    )
    default_code = "email_not_verified_here"

    def __init__(self, user: User) -> None:
        super().__init__(user, None if user.has_usable_password() else MAIL_TO_ANSWER)


class AnotherIdentityLinked(AccountRefused):
    """Addresses are given to somebody else at times: a new subject with a known address may be a stranger."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = (
        "Your account here is linked to another account at this provider. Sign in with that or with your password, "
        "disconnect it, then sign in again."
    )
    default_code = "another_identity_linked"


class SecondFactorRequired(AccountRefused):
    """This way has no step that could ask for the code: a first visit in a browser, or one without a page for it."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = (
        "Your account has a second factor, whose code cannot be asked for here. Sign in with your password and the "
        "code, or with the provider in the app."
    )
    default_code = "second_factor_required"


class ChangedMeanwhile(ApiError):
    """The account was deleted, suspended, disconnected or got another password while its person was on the way in."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Your account was changed or deleted at this very moment. Sign in again."
    default_code = "account_changed"


class NewAccountUnconfirmed(Conflict):
    default_detail = "There is no account for you here yet. Send this again with confirm_new_account true to make one."
    default_code = "confirm_new_account"


def sign_in(identity: Identity, client: Client, terms: Terms) -> tuple[Entry, TokenPair]:
    """Enter and sign in at once. Raises what `enter` raises."""

    def attempt() -> tuple[Entry, TokenPair]:
        entry = _enter(identity, client, terms)
        return entry, issue(entry.membership, method_of(identity.provider), client)

    return _settle(attempt, identity, client)


def method_of(provider: str) -> str:
    """Return what a sign-in by this provider is called: every workspace's own provider is SAML."""
    return "saml" if provider.startswith("saml-") else provider


def enter(identity: Identity, client: Client, terms: Terms) -> Entry:
    """Return the account and workspace that an identity opens, without signing in.

    Binds the identity, makes the account and spends the invitation where that is due: all of it or nothing. Raises
    `AccountInactive`, `EmailMissing`, `EmailUnverifiedAtProvider`, `EmailUnverifiedHere`, `AnotherIdentityLinked`,
    `SecondFactorRequired`, `SsoRequired`, `InviteEmailMismatch`, `NotPending`, `NotFound` for an invitation into a
    suspended workspace, `SignupClosed`, `NewAccountUnconfirmed`, `NoWorkspace`, `ChangedMeanwhile`.
    """
    return _settle(lambda: _enter(identity, client, terms), identity, client)


def refuse_hopeless(identity: Identity, client: Client, terms: Terms) -> Account:
    """Raise what `enter` would raise but for a second factor; change nothing, so that whatever works once is left for
    a second try. Return the account that the identity opens.
    """
    return _settle(lambda: _find_account(identity, terms), identity, client)


def _settle(attempt: Callable[[], Result], identity: Identity, client: Client) -> Result:
    """Return what an attempt does, or where its rows collide with another's, what it does once those are there.

    Two first sign-ins of one person at once: the unique keys let one through, and the other finds what that one made.
    """
    try:
        try:
            with transaction.atomic():
                return attempt()
        except IntegrityError:
            with transaction.atomic():
                return attempt()
    except AccountRefused as refusal:
        _record_refusal(refusal, identity, client)
        raise
    except (AccountChanged, InvalidCredentials):
        raise ChangedMeanwhile() from None


def _enter(identity: Identity, client: Client, terms: Terms) -> Entry:
    invitation = terms.invitation
    if invitation is not None:  # before the person's row: in the order in which others lock them
        lock_acceptable(invitation)
    account = _find_account(identity, terms)
    if account.user is not None:
        account = _hold(account.user, identity, terms.binding_id or account.binding_id)
    _refuse_without_factor(account, terms)
    user, created = account.user, account.user is None
    if user is None:
        user = User(email=identity.email, name=identity.name, email_verified_at=timezone.now())
        user.set_unusable_password()
        user.save(force_insert=True)
    # Before the first audit event: whoever waits for somebody else's row must not hold up the trail.
    is_newly_bound = account.binding_id is None and bind(identity, user)
    already_member = None
    if invitation is not None:
        membership, already_member = accept_for_user(invitation, user, client)
        membership.user = user  # as locked
    elif created:
        membership = create_workspace(user, personal_workspace_name(user), client)
        User.objects.filter(id=user.id).update(last_workspace_id=membership.workspace_id)
    else:
        membership = membership_to_enter(user, client)
    if created:
        _record(Action.SIGNED_UP, f"Signed up by {method_of(identity.provider)}.", identity, membership, client)
    elif is_newly_bound:
        _record(Action.IDENTITY_LINKED, "An identity was linked to the account.", identity, membership, client)
        enqueue("identity_linked", user_id=str(user.id), provider=identity.provider)
    return Entry(membership, created, str(invitation.id) if invitation else None, already_member)


def _find_account(identity: Identity, terms: Terms) -> Account:
    """Return the account that an identity opens, of nobody only where one may be made. Raises what `enter` raises but
    for a second factor.
    """
    invitation = terms.invitation
    binding = _find_binding(identity)
    bound = binding.user if binding else None
    refuse_where_required(bound.email if bound else identity.email or "")
    user = bound or _find_by_address(identity)
    if user is not None and not user.is_active:
        raise AccountInactive(user)
    if invitation is not None and invitation.email != (user.email if user else identity.email):
        raise InviteEmailMismatch()
    if user is None and invitation is None:
        if not settings.SIGNUP_IS_OPEN:
            raise SignupClosed()
        if not terms.may_create:
            raise NewAccountUnconfirmed()
    if user is not None and invitation is None:
        refuse_without_workspace(user)
    return Account(user, binding.id if binding else None)


def _hold(user: User, identity: Identity, binding_id: int | None) -> Account:
    """Lock the row of the account that an identity opens until the caller's transaction ends; return it as stored.

    Whoever takes the identity away, replaces the password or sets up a second factor locks that row, too: so they come
    before, and are seen here, or they find what comes of this sign-in, and end it. Raises `ChangedMeanwhile`, also
    where the binding by which the sign-in began is gone: only one that begins afterwards binds again.
    """
    people = User.objects.select_for_update(no_key=True).filter(id=user.id, email=user.email, is_active=True)
    stored, binding = people.first(), _find_binding(identity)
    is_another = binding is not None and binding.user_id != user.id
    is_gone = binding_id is not None and (binding is None or binding.id != binding_id)
    if stored is None or is_another or is_gone:
        raise ChangedMeanwhile()
    return Account(stored, binding.id if binding else None)


def _refuse_without_factor(account: Account, terms: Terms) -> None:
    """Raise `SecondFactorRequired` where the account has a factor whose code was not shown, and either none will be
    asked for, or this would bind or accept something before.
    """
    user = account.user
    if user is None or not user.has_second_factor or user.totp_confirmed_at == terms.shown_factor:
        return
    changes_nothing = terms.invitation is None and account.binding_id is not None
    if not terms.asks_for_factor_later or not changes_nothing:
        raise SecondFactorRequired(user)


def find_bound(identity: Identity) -> User | None:
    """Return the account that an identity is bound to, if any."""
    found = _find_binding(identity)
    return found.user if found else None


def _find_binding(identity: Identity) -> UserSocialAuth | None:
    bound = UserSocialAuth.objects.filter(provider=identity.provider, uid=identity.subject)
    return bound.select_related("user").first()


def _find_by_address(identity: Identity) -> User | None:
    """Return the account with the address of an identity that is not bound, if it may be."""
    if identity.email is None:
        raise EmailMissing()
    if not identity.email_is_verified:
        raise EmailUnverifiedAtProvider()
    user = User.objects.filter(email=identity.email).first()
    if user is None:
        return None
    if user.email_verified_at is None:
        raise EmailUnverifiedHere(user)
    # This very identity may have been bound since it was looked for: by the person's other sign-in at this moment.
    others = UserSocialAuth.objects.filter(user=user, provider=identity.provider).exclude(uid=identity.subject)
    if others.exists():
        raise AnotherIdentityLinked(user)
    return user


def bind(identity: Identity, user: User) -> bool:
    """Bind an identity unless it is bound; return whether that was done. What the provider issued is not kept."""
    key = {"provider": identity.provider, "uid": identity.subject}
    if UserSocialAuth.objects.filter(user=user, **key).exists():
        return False
    UserSocialAuth.objects.create(user=user, **key)
    # In any case, for the lock: the sign-in takes it after the trail's otherwise.
    User.objects.filter(id=user.id).update(name=user.name or identity.name)
    return True


def _record(action: Action, description: str, identity: Identity, membership: Membership, client: Client) -> None:
    record(
        action,
        client,
        description,
        workspace_id=membership.workspace_id,
        actor=Person(membership.user_id, membership.user.email),
        resource=("user", membership.user_id),
        changes={"provider": identity.provider},
        status_code=status.HTTP_200_OK,
    )


def _record_refusal(refusal: AccountRefused, identity: Identity, client: Client) -> None:
    record(
        Action.SIGN_IN_FAILED,
        client,
        "An identity of a provider was refused.",
        workspace_id=refusal.user.last_workspace_id,
        target=Person(refusal.user.id, refusal.user.email),
        resource=("user", refusal.user.id),
        changes={"provider": identity.provider, "reason": refusal.default_code},
        status_code=refusal.status_code,
    )
