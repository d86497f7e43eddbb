"""Invitations, for those who invite, and what makes an invited person a member.

The link is mailed, and also given to whoever invites, to be shown as a QR code on site. So it proves nothing about an
address: what it may do by itself is decided in accounts/acceptance.py.
"""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request

from accounts.audit import Action, Person, record, record_for
from accounts.mail import link
from accounts.mailed_tokens import digest
from accounts.members import lock_caller
from accounts.models import FormerMember, Invitation, Membership, User, Workspace
from accounts.models.workspace import InvitationQuerySet
from accounts.outbox import enqueue
from accounts.permissions import InsufficientPermissions
from accounts.principal import Client, Principal
from accounts.scopes import INVITATIONS_WRITE, ROLE_SCOPES, Role
from accounts.throttles import INVITATION_RESENDS, INVITATIONS
from spatialflow import clock
from spatialflow.api import read_id
from spatialflow.errors import ApiError, Conflict, DeletedMeanwhile, NotFound

LIFETIME = timedelta(hours=168)
MAX_LIFETIME_LEFT = timedelta(days=90)

NOT_PENDING = {
    "accepted": ("This invitation was accepted already; its person can sign in.", "invitation_used"),
    "revoked": ("This invitation was cancelled, or replaced by a newer one; use that.", "invitation_revoked"),
    "expired": ("This invitation has expired; a new one is needed.", "invitation_expired"),
}


class NotPending(ApiError):
    """Accepted, cancelled or expired, which its code says. 400 as in the contract."""

    def __init__(self, invitation_status: str) -> None:
        # One that was expired and is pending by now was extended at this moment.
        super().__init__(*NOT_PENDING.get(invitation_status, NOT_PENDING["expired"]))


class SelfInvitation(ApiError):
    default_detail = "This is your own address; invite somebody else."
    default_code = "self_invitation"


class AlreadyMember(ApiError):
    default_detail = "This person is a member of the workspace already; change their role instead."
    default_code = "already_member"


class InviteEmailMismatch(ApiError):
    """The contract's own code, in capitals."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This invitation is for another address than the signed-in one. Sign out, then open it again."
    default_code = "INVITE_EMAIL_MISMATCH"


class AccountAppeared(Conflict):
    default_detail = "An account for this address was made at the same moment; try again with its password."
    default_code = "account_appeared"


@dataclass(frozen=True)
class Issued:
    """A new invitation and its link, which nothing can show again."""

    invitation: Invitation
    link: str


def get_invitation(principal: Principal, invite_id: str) -> Invitation:
    """Return an invitation of the caller's workspace. Raises `NotFound`, alike for absent and for somebody else's."""
    visible = Invitation.objects.for_workspace(principal.workspace_id).select_related("invited_by")
    found = visible.filter(id=read_id(invite_id)).first()
    if found is None:
        raise NotFound()
    return found


def invite(request: Request, email: str, role: str) -> Issued:
    """Return a new invitation of `email` (canonical); an open one of that address ends. The mail goes out by itself.

    Raises `InsufficientPermissions`, `SelfInvitation`, `AlreadyMember`, and then `Throttled`.
    """
    principal = request.auth
    refuse_unverified(principal)
    refuse_foreign_role(principal.role, role)
    if email == principal.email:
        raise SelfInvitation()
    if Membership.objects.filter(workspace_id=principal.workspace_id, user__email=email).exists():
        raise AlreadyMember()
    _refuse_replacing(principal.workspace_id, email, principal.role)
    INVITATIONS.charge(request, str(principal.user_id))
    with transaction.atomic():
        caller = lock_caller(request, INVITATIONS_WRITE)
        refuse_foreign_role(caller.role, role)
        _refuse_replacing(principal.workspace_id, email, caller.role)
        _open(principal.workspace_id).filter(email=email).update(revoked_at=timezone.now())
        issued = _issue(caller.user, principal.workspace_id, email, role)
        _record(request, Action.INVITATION_CREATED, "Invitation sent.", issued.invitation, role=role)
    return issued


def resend(request: Request, invite_id: str) -> Issued:
    """Return the successor of a pending invitation: a new row, link and term; the former link is dead.

    Raises `NotFound`, `InsufficientPermissions`, `NotPending`, and then `Throttled`.
    """
    principal = request.auth
    refuse_unverified(principal)
    invitation = get_invitation(principal, invite_id)
    refuse_resending(principal.role, invitation)
    INVITATION_RESENDS.charge(request, str(principal.user_id))
    with transaction.atomic():
        caller = lock_caller(request, INVITATIONS_WRITE)
        refuse_foreign_role(caller.role, invitation.role)
        issued = replace(caller.user, invitation)
        record_resent(request, invitation, issued)
    return issued


def extend(request: Request, invite_id: str, expires_at: datetime) -> Invitation:
    """Let an invitation, even an expired one, end at another moment; its link stays and no mail goes out.

    Raises `NotFound`, `InsufficientPermissions`, `NotPending`.
    """
    with transaction.atomic():
        invitation = _lock_changeable(request, invite_id)
        if not _open(invitation.workspace_id).filter(id=invitation.id).update(expires_at=expires_at):
            raise _why_not_pending(invitation)
        moment = expires_at.isoformat()
        _record(request, Action.INVITATION_EXTENDED, "Invitation extended.", invitation, expires_at=moment)
    invitation.expires_at = expires_at
    return invitation


def cancel(request: Request, invite_id: str) -> None:
    """End an invitation that was not accepted. Raises `NotFound`, `InsufficientPermissions`, `NotPending`."""
    with transaction.atomic():
        invitation = _lock_changeable(request, invite_id)
        if not _open(invitation.workspace_id).filter(id=invitation.id).update(revoked_at=timezone.now()):
            raise _why_not_pending(invitation)
        _record(request, Action.INVITATION_CANCELLED, "Invitation cancelled.", invitation)


def accept_for_user(invitation: Invitation, user: User, client: Client) -> tuple[Membership, bool]:
    """Spend an invitation for the person whose address it names; return their membership, and whether it was there.

    `user` has proven to be that person, or is not saved yet: then it is saved once the invitation is spent. Whoever is
    a member already keeps their role. Invitations by other workspaces stay open: what one tenant does must not touch
    another's. Raises `InviteEmailMismatch`, `NotPending` to all but one of a race, `NotFound` where the workspace is
    suspended by now, `AccountAppeared`, `DeletedMeanwhile` where the account ended meanwhile.
    """
    if user.email != invitation.email:
        raise InviteEmailMismatch()
    with transaction.atomic():
        lock_acceptable(invitation)
        if not Invitation.objects.pending().filter(id=invitation.id).update(used_at=timezone.now()):
            raise _why_not_pending(invitation)
        if user._state.adding:
            _save_new(user)
        # First, for the lock: the end of the account must see the membership, or this the end.
        if not User.objects.filter(id=user.id).update(last_workspace_id=invitation.workspace_id):
            raise DeletedMeanwhile()
        membership, is_new = Membership.objects.get_or_create(
            user=user, workspace_id=invitation.workspace_id, defaults={"role": invitation.role}
        )
        FormerMember.objects.filter(user=user, workspace_id=invitation.workspace_id).delete()
        record(
            Action.INVITATION_ACCEPTED,
            client,
            "Invitation accepted.",
            workspace_id=invitation.workspace_id,
            actor=Person(user.id, user.email),
            target=Person(invitation.invited_by_id),
            resource=("invitation", invitation.id),
            changes={"role": membership.role, "already_member": not is_new},
            status_code=status.HTTP_200_OK,
        )
    return membership, not is_new


def lock_acceptable(invitation: Invitation) -> None:
    """Lock an invitation and its workspace until the caller's transaction ends, in the order in which everybody locks:
    workspace, invitation, person, trail. Raises `NotFound` where the workspace is suspended by now, `NotPending`.
    """
    workspace = Workspace.objects.lock(invitation.workspace_id)
    if workspace is None or workspace.suspended_at is not None:
        raise NotFound()
    if not Invitation.objects.pending().select_for_update(no_key=True).filter(id=invitation.id).exists():
        raise _why_not_pending(invitation)


def _save_new(user: User) -> None:
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise AccountAppeared() from None


def revoke_invitations_of_leaver(user_id: uuid.UUID, workspace_id: uuid.UUID) -> None:
    """End the open invitations of a person who left: their links, which they have seen, would let them in again."""
    _open(workspace_id).filter(invited_by_id=user_id).update(revoked_at=timezone.now())


def revoke_invitations_beyond_role(user_id: uuid.UUID, workspace_id: uuid.UUID) -> None:
    """End the open invitations of a person that their lowered role could not make."""
    role = Membership.objects.get(user_id=user_id, workspace_id=workspace_id).role
    beyond = _open(workspace_id).filter(invited_by_id=user_id)
    if INVITATIONS_WRITE in ROLE_SCOPES[role]:
        beyond = beyond.filter(role=Role.OWNER)
    beyond.update(revoked_at=timezone.now())


def refuse_unverified(principal: Principal) -> None:
    if not principal.email_is_verified:
        raise InsufficientPermissions("Verify your email address before inviting people.", "email_not_verified")


def roles_to_invite(own_role: str) -> list[Role]:
    """Return the roles that somebody of `own_role`, who may invite, may invite to."""
    return [role for role in Role if role != Role.OWNER or own_role == Role.OWNER]


def refuse_foreign_role(own_role: str, invited_role: str) -> None:
    if invited_role not in roles_to_invite(own_role):
        raise InsufficientPermissions("Only owners may invite owners and change such invitations.", "owners_only")


def refuse_resending(own_role: str, invitation: Invitation) -> None:
    refuse_foreign_role(own_role, invitation.role)
    if invitation.status != "pending":
        raise NotPending(invitation.status)


def _refuse_replacing(workspace_id: uuid.UUID, email: str, own_role: str) -> None:
    """Refuse a new invitation that would end one of the same address which the caller may not change."""
    for replaced in _open(workspace_id).filter(email=email):  # one that has expired can still be extended
        refuse_foreign_role(own_role, replaced.role)


def _lock_changeable(request: Request, invite_id: str) -> Invitation:
    """Return an invitation that the caller may change, under the lock of `lock_caller`."""
    caller = lock_caller(request, INVITATIONS_WRITE)
    invitation = get_invitation(request.auth, invite_id)
    refuse_foreign_role(caller.role, invitation.role)
    return invitation


def _open(workspace_id: uuid.UUID) -> InvitationQuerySet:
    """Neither accepted nor ended; it may have expired."""
    return Invitation.objects.for_workspace(workspace_id).filter(used_at=None, revoked_at=None)


def _issue(inviter: User, workspace_id: uuid.UUID, email: str, role: str) -> Issued:
    raw, now = secrets.token_urlsafe(32), clock.now()
    invitation = Invitation.objects.create(
        workspace_id=workspace_id,
        email=email,
        role=role,
        digest=digest(raw),
        invited_by=inviter,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    enqueue("invitation", invitation_id=str(invitation.id), token=raw)
    return Issued(invitation, invitation_link(invitation.id, raw))


def invitation_link(invitation_id: uuid.UUID, token: str) -> str:
    return link("accept-invite", invite_id=str(invitation_id), token=token)


def replace(inviter: User, invitation: Invitation) -> Issued:
    """End a pending invitation and return its successor, under the lock of `lock_caller`. Raises `NotPending`."""
    pending = Invitation.objects.for_workspace(invitation.workspace_id).pending()
    if not pending.filter(id=invitation.id).update(revoked_at=timezone.now()):
        raise _why_not_pending(invitation)
    return _issue(inviter, invitation.workspace_id, invitation.email, invitation.role)


def _why_not_pending(invitation: Invitation) -> ApiError:
    """Return what to raise when an UPDATE of pending rows did not find this one."""
    found = Invitation.objects.filter(id=invitation.id).first()
    return NotPending(found.status) if found else NotFound()


def record_resent(request: Request, former: Invitation, issued: Issued) -> None:
    _record(request, Action.INVITATION_RESENT, "Invitation sent again.", issued.invitation, replaces=str(former.id))


def _record(request: Request, action: Action, description: str, invitation: Invitation, **changes: str) -> None:
    """Nobody is told whether the invited address has an account, so its person is known by the address alone."""
    record_for(
        request,
        action,
        description,
        target=Person(email=invitation.email),
        resource=("invitation", invitation.id),
        changes=changes or None,
    )
