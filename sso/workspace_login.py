"""The linking policy for a workspace's own identity provider: whom it signs in, and into that workspace alone.

An identity is (connection, NameID), so no provider speaks for what another one has bound. It signs in members. Whoever
is none yet comes in by an open invitation of exactly their address, or where the workspace lets its provider create
members. Its owners decide what it says, so it never opens an account of the operator's, and it makes no member of
anybody who has an account elsewhere and has not agreed. Once somebody's membership has ended, only a new invitation
lets them in again.

Whose an address of the proven domain is, the provider says. An account with it that nobody has proven to own may be of
somebody who lies in wait: its person gets it, and nothing of before opens it any more (accounts/email_ownership.py).
"""

import uuid
from dataclasses import dataclass, replace

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import status
from social_django.models import UserSocialAuth

from accounts.audit import NOBODY, Action, Person, record
from accounts.email_ownership import reclaim
from accounts.invitations import AccountAppeared, NotPending, accept_for_user, lock_acceptable
from accounts.models import FormerMember, Invitation, Membership, User, Workspace, WorkspaceDomain
from accounts.outbox import enqueue
from accounts.principal import Client
from accounts.scopes import Role
from spatialflow.errors import ApiError
from sso.login import ChangedMeanwhile, Entry, Identity, bind, find_bound
from sso.models import IdentityProvider
from sso.saml_serving import why_not_serving


class EntryRefused(ApiError):
    """A verified identity opens nothing here. The sentence is for the workspace's owners, who find it under `check`."""

    status_code = status.HTTP_403_FORBIDDEN
    check = "account"

    def __init__(self, user: User | None = None) -> None:
        super().__init__()
        self.user = user


class AccountDeactivated(EntryRefused):
    default_detail = "The account must not be deactivated; ask the operator of this service."
    default_code = "account_inactive"


class OperatorAccount(EntryRefused):
    default_detail = "An account of the operator never signs in by a workspace's identity provider."
    default_code = "operator_account"


class AccountNotJoined(EntryRefused):
    """The domain may be somebody else's by now than of whom the account is: only they let it be joined."""

    default_detail = (
        "There is an account with this address that does not belong to the workspace, and its owner must agree first: "
        "invite exactly this address."
    )
    default_code = "account_not_joined"


class AnotherNameIdBound(EntryRefused):
    """Addresses are given to somebody else at times: a new NameID with a known address may be a stranger."""

    default_detail = (
        "The account is bound to another NameID of this provider. Let the provider send that one again; where it is "
        "the same person for sure, remove them from the workspace and invite them anew."
    )
    default_code = "another_identity_linked"


class NeverSignedIn(EntryRefused):
    default_detail = "Whoever comes from the provider's own page must have begun a sign-in at this service once before."
    default_code = "never_signed_in"


class ConnectionChanged(EntryRefused):
    check = "connection"
    default_detail = "The connection must stay in service until the person is in; it was changed meanwhile."
    default_code = "connection_changed"


class DomainLost(EntryRefused):
    check = "domain"
    default_detail = "The domain must stay proven until the person is in; its proof ended meanwhile."
    default_code = "domain_lost"


class NotAMember(EntryRefused):
    check = "membership"
    default_detail = (
        "The person must be a member of the workspace or be invited with exactly this address, or the connection must "
        "create members."
    )
    default_code = "not_a_member"


class MembershipEnded(EntryRefused):
    check = "membership"
    default_detail = (
        "The person was a member and was removed, or left: invite exactly this address anew to let them in."
    )
    default_code = "membership_ended"


@dataclass(frozen=True)
class Admission:
    """Why somebody may come in: their membership, an invitation, or the connection's switch when both are None."""

    user: User | None  # None: an account is to be made
    is_bound: bool
    membership: Membership | None
    invitation: Invitation | None


def hold_entry(provider: IdentityProvider, domain: str) -> None:
    """Keep the way in of people of a mail domain open until the caller's transaction ends, or raise the `EntryRefused`
    that says why it is shut.

    The first lock of that transaction. Whoever takes the domain away, changes the connection, the plan or the members
    locks the workspace's row, too: so they come before, and this sees it, or find what came of the sign-in.
    """
    Workspace.objects.lock(provider.workspace_id)
    current = IdentityProvider.objects.select_related("workspace").filter(id=provider.id).first()
    if current is None or why_not_serving(current, is_test=False):
        raise ConnectionChanged()
    proven = WorkspaceDomain.objects.for_workspace(provider.workspace_id).proven()
    if not proven.filter(domain=domain).exists():
        raise DomainLost()


def find_named(identity: Identity, workspace_id: uuid.UUID) -> Person:
    """Return the member that a verified identity points at, whether it lets them in or not; nobody for any other."""
    user = find_bound(identity) or User.objects.filter(email=identity.email).first()
    if user is None or not Membership.objects.filter(user=user, workspace_id=workspace_id).exists():
        return NOBODY
    return Person(user.id, user.email)


def enter_workspace(identity: Identity, provider: IdentityProvider, client: Client, *, may_bind: bool = True) -> Entry:
    """Return the membership, in the provider's workspace, that an identity opens; do not sign in.

    The address must lie in a domain that the workspace has proven, which `hold_entry` makes sure of. Makes the account
    and the membership, spends the invitation and binds the identity where that is due: all of it or nothing. Without
    `may_bind` only an identity that is bound comes in. Raises an `EntryRefused`.
    """

    def attempt() -> Entry:
        with transaction.atomic():
            return _enter(identity, provider, client, may_bind)

    try:
        return attempt()
    except (IntegrityError, NotPending, AccountAppeared):
        return attempt()  # another first sign-in of this person was quicker: it finds what that one made


def refuse_entry(identity: Identity, provider: IdentityProvider) -> None:
    """Raise what `enter_workspace` would raise; change nothing."""
    _admit(identity, provider, may_bind=True)


def _enter(identity: Identity, provider: IdentityProvider, client: Client, may_bind: bool) -> Entry:
    admission = _admit(identity, provider, may_bind)
    user = admission.user or _new_user(identity)
    created = user._state.adding
    if Membership.objects.filter(user_id=user.id).exclude(workspace_id=provider.workspace_id).exists():
        identity = replace(identity, name="")  # one workspace's provider does not name somebody for the others
    # The invitation before the person's row, and that before the trail: in the order in which others lock them.
    if admission.invitation is not None:
        lock_acceptable(admission.invitation)
    is_unproven = not created and not admission.is_bound and user.email_verified_at is None
    if is_unproven and not reclaim(user, client, provider.workspace_id):
        raise ChangedMeanwhile()  # somebody has proven it at this very moment: then it may be somebody else's
    if admission.invitation is not None:
        accept_for_user(admission.invitation, user, client)
        _others_bound(identity, user).delete()  # of whom the owners removed before they invited this one
    elif created:
        user.save(force_insert=True)
    is_newly_bound = not admission.is_bound and bind(identity, user)
    if identity.name and not user.name:
        User.objects.filter(id=user.id, name="").update(name=identity.name)
    if admission.is_bound and admission.membership is not None:
        return Entry(admission.membership, created=False)
    if admission.membership is None and admission.invitation is None:
        _join(user, provider, client)
    members = Membership.objects.select_related("user", "workspace")
    membership = members.get(user=user, workspace_id=provider.workspace_id)
    if created:
        User.objects.filter(id=user.id).update(last_workspace_id=provider.workspace_id)
        _record(Action.SIGNED_UP, "Signed up by saml.", identity, membership, client)
    elif is_newly_bound:
        _record(Action.IDENTITY_LINKED, "An identity was linked to the account.", identity, membership, client)
        enqueue("workspace_identity_linked", user_id=str(user.id), workspace_id=str(provider.workspace_id))
    return Entry(membership, created)


def _admit(identity: Identity, provider: IdentityProvider, may_bind: bool) -> Admission:
    bound = find_bound(identity)
    if bound is None and not may_bind:
        raise NeverSignedIn()
    user = bound or User.objects.filter(email=identity.email).first()
    if user is not None and not user.is_active:
        raise AccountDeactivated(user)
    if user is not None and (user.is_staff or user.is_superuser):
        raise OperatorAccount(user)
    members = Membership.objects.select_related("user", "workspace").filter(workspace_id=provider.workspace_id)
    membership = members.filter(user=user).first() if user else None
    invitation = _find_invitation(identity, provider, user) if may_bind and membership is None else None
    if user is not None and membership is None and invitation is None and _has_left(user, provider):
        raise MembershipEnded(user)
    if bound is None and user is not None and invitation is None and _others_bound(identity, user).exists():
        raise AnotherNameIdBound(user)
    if membership is not None:
        return Admission(user, bound is not None, membership, None)
    if invitation is None and (bound is not None or not provider.creates_members):
        raise NotAMember(user)
    if invitation is None and user is not None and user.email_verified_at is not None:
        raise AccountNotJoined(user)
    return Admission(user, bound is not None, None, invitation)


def _has_left(user: User, provider: IdentityProvider) -> bool:
    return FormerMember.objects.filter(user=user, workspace_id=provider.workspace_id).exists()


def _others_bound(identity: Identity, user: User) -> QuerySet[UserSocialAuth]:
    """Return the identities of this connection that are bound to the account, but for this very one: the person's other
    sign-in at this moment may have bound it since it was looked for.
    """
    return UserSocialAuth.objects.filter(user=user, provider=identity.provider).exclude(uid=identity.subject)


def _find_invitation(identity: Identity, provider: IdentityProvider, user: User | None) -> Invitation | None:
    if user is not None and user.email != identity.email:
        return None
    invitations = Invitation.objects.for_workspace(provider.workspace_id).pending()
    return invitations.filter(email=identity.email).first()


def _new_user(identity: Identity) -> User:
    """Return an unsaved account without a password. Its address is proven: it lies in a domain of the workspace."""
    user = User(email=identity.email, name=identity.name, email_verified_at=timezone.now())
    user.set_unusable_password()
    return user


def _join(user: User, provider: IdentityProvider, client: Client) -> None:
    """Make somebody a member in the connection's role, which is never an owner's."""
    role = Role.MEMBER if provider.default_role == Role.OWNER else provider.default_role
    Membership.objects.create(user=user, workspace_id=provider.workspace_id, role=role)
    record(
        Action.MEMBER_ADDED,
        client,
        "Member added by the workspace's identity provider.",
        workspace_id=provider.workspace_id,
        target=Person(user.id, user.email),
        resource=("member", user.id),
        changes={"role": role, "provider": provider.provider_name},
        status_code=status.HTTP_200_OK,
    )


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
