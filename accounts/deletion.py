"""The end of an account, by its owner: everything personal goes, what others share stays."""

import itertools
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from rest_framework.request import Request

from accounts.audit import Action, addresses_of, erase_person, record_for
from accounts.hooks import account_ended, membership_ended
from accounts.models import CredentialUsage, Invitation, Membership, SignIn, User, Workspace
from accounts.outbox import enqueue
from accounts.scopes import Role
from accounts.tokens import InvalidToken
from accounts.usage import forget_who_used
from spatialflow.errors import Conflict


def doomed_with(user_id: uuid.UUID) -> list[Workspace]:
    """Return the workspaces that end with a person's account, suspended ones too: those that nobody else belongs to.
    One query.
    """
    others = Membership.objects.filter(workspace_id=OuterRef("id")).exclude(user_id=user_id)
    own = Workspace.objects.filter(memberships__user_id=user_id)
    return list(own.exclude(Exists(others)).order_by("name", "id"))


class Member(NamedTuple):
    """Somebody's place in a workspace."""

    workspace_id: uuid.UUID
    user_id: uuid.UUID
    role: str
    is_active: bool


class SoleOwner(Conflict):
    """Nobody could manage the workspace any more, and its members could not go on."""

    default_detail = (
        "You are the only owner of a workspace that has other members. Make one of them an owner, or delete the "
        "workspace, before you delete your account."
    )
    default_code = "sole_owner"

    def __init__(self, slugs: list[str]) -> None:
        super().__init__(extra={"details": {"workspaces": slugs}})


class MembershipChanged(Conflict):
    default_detail = "Your memberships changed at the same moment. Try again."
    default_code = "membership_changed"


@transaction.atomic
def delete_account(request: Request) -> None:
    """Delete the caller's account and the workspaces that only they belong to; tell the address that was theirs.

    No password is asked for: app stores demand that an account can be deleted, and not every account has one. The
    audit trail keeps its events without what tells who it was. Raises `SoleOwner`, `MembershipChanged`.
    """
    user_id = request.auth.user_id
    workspaces = _lock_workspaces(user_id)
    addresses = addresses_of(user_id, request.auth.email)
    _lock_invitations(user_id, addresses, workspaces)
    user = User.objects.select_for_update(no_key=True).filter(id=user_id).first()
    if user is None:  # by another request at this moment
        raise InvalidToken()
    members = _members(user_id, workspaces)
    # The person's row is ours, so no membership of theirs comes to be any more. One that did while this waited for its
    # locks is in a workspace that is not locked: nobody counted its owners, nor wrote to its trail.
    if {member.workspace_id for member in members if member.user_id == user_id} != {own.id for own in workspaces}:
        raise MembershipChanged()
    shared = _shared(user_id, workspaces, members)
    _end_credentials(user, workspaces)
    Invitation.objects.filter(email__in=addresses).delete()
    enqueue("account_deleted", email=user.email)
    for workspace in workspaces:
        _record(request, workspace, workspace.id in shared)
    if not workspaces:
        record_for(request, Action.ACCOUNT_DELETED, "An account without a workspace was deleted.", workspace_id=None)
    # Only now is nobody added any more: whoever adds a member also appends to the trail, where they wait for this end.
    if _members(user_id, workspaces) != members:
        raise MembershipChanged()
    for workspace in workspaces:
        if workspace.id not in shared:
            CredentialUsage.objects.filter(workspace_id=workspace.id).delete()
            workspace.delete()
    user.delete()
    erase_person(user_id, user.email)


def _lock_workspaces(user_id: uuid.UUID) -> list[Workspace]:
    """Return the person's workspaces, in which no role changes and nobody leaves until the end. Always before the
    person's own row, and in one order, so that nobody waits in a circle.
    """
    own = Workspace.objects.filter(id__in=list(_own_ids(user_id)))
    return list(own.select_for_update(no_key=True).order_by("id"))


def _lock_invitations(user_id: uuid.UUID, addresses: set[str], workspaces: list[Workspace]) -> None:
    """Wait for acceptances in flight that concern the person or their workspaces, and let no other begin.

    Before the person's row and the trail, which an acceptance takes once it has its invitation.
    """
    concerned = Q(email__in=addresses) | Q(workspace__in=workspaces) | Q(invited_by_id=user_id)
    list(Invitation.objects.filter(concerned).select_for_update().order_by("id").values_list("id"))


def _own_ids(user_id: uuid.UUID) -> Iterable[uuid.UUID]:
    return Membership.objects.filter(user_id=user_id).values_list("workspace_id", flat=True)


def _members(user_id: uuid.UUID, workspaces: list[Workspace]) -> set[Member]:
    """Return everybody in these workspaces, and the person wherever they are."""
    concerned = Membership.objects.filter(Q(user_id=user_id) | Q(workspace__in=workspaces))
    return set(itertools.starmap(Member, concerned.values_list("workspace_id", "user_id", "role", "user__is_active")))


def _shared(user_id: uuid.UUID, workspaces: list[Workspace], members: set[Member]) -> set[uuid.UUID]:
    """Return the ids of the workspaces that others belong to as well. Raises `SoleOwner`; owners who are suspended do
    not count, because they cannot manage anything.
    """
    shared = {member.workspace_id for member in members if member.user_id != user_id}
    owned = {member.workspace_id for member in members if member.role == Role.OWNER and member.user_id == user_id}
    others = [member for member in members if member.user_id != user_id]
    kept = {member.workspace_id for member in others if member.role == Role.OWNER and member.is_active}
    orphaned = sorted(workspace.slug for workspace in workspaces if workspace.id in shared & owned - kept)
    if orphaned:
        raise SoleOwner(orphaned)
    return shared


def _end_credentials(user: User, workspaces: list[Workspace]) -> None:
    """End sign-ins and keys, which go with the user's row, and forget where they were used from.

    Before anything is appended to the trail: others change these rows first and append then, too.
    """
    for workspace in workspaces:
        membership_ended.run(user.id, workspace.id)
    account_ended.run(user.id)
    own = SignIn.objects.filter(user=user)
    own.revoke("account_deleted")
    forget_who_used(own.values("id"))


def _record(request: Request, workspace: Workspace, is_shared: bool) -> None:
    """Record the end of the account where others see it, and of a workspace that ends with it."""
    if is_shared:
        record_for(request, Action.ACCOUNT_DELETED, "A member deleted their account.", workspace_id=workspace.id)
    else:
        record_for(
            request,
            Action.WORKSPACE_DELETED,
            "Workspace deleted together with the account of its only member.",
            workspace_id=workspace.id,
            resource=("workspace", workspace.id),
        )
