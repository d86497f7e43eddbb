"""The end of an account, by its owner: everything personal goes, what others share stays."""

import uuid

from django.db import transaction
from django.db.models import QuerySet
from rest_framework.request import Request

from accounts.audit import Action, erase_person, record_for
from accounts.hooks import account_ended, membership_ended
from accounts.models import CredentialUsage, Invitation, Membership, SignIn, User, Workspace
from accounts.outbox import enqueue
from accounts.scopes import Role
from accounts.tokens import InvalidToken
from accounts.usage import forget_who_used
from spatialflow.errors import Conflict


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
    user = User.objects.select_for_update().filter(id=user_id).first()
    if user is None:  # by another request at this moment
        raise InvalidToken()
    if {workspace.id for workspace in workspaces} != set(_workspace_ids(user_id)):
        raise MembershipChanged()
    shared = _shared(user_id, workspaces)
    for workspace in workspaces:
        if workspace.id in shared:
            membership_ended.run(user_id, workspace.id)
            record_for(request, Action.ACCOUNT_DELETED, "A member deleted their account.", workspace_id=workspace.id)
        else:
            _delete_workspace(request, workspace)
    account_ended.run(user_id)
    forget_who_used(SignIn.objects.filter(user=user).values("id"))
    Invitation.objects.filter(email=user.email).delete()
    enqueue("account_deleted", email=user.email)
    user.delete()
    erase_person(user_id, user.email)


def _workspace_ids(user_id: uuid.UUID) -> QuerySet[Membership, uuid.UUID]:
    return Membership.objects.filter(user_id=user_id).values_list("workspace_id", flat=True)


def _lock_workspaces(user_id: uuid.UUID) -> list[Workspace]:
    """Return the person's workspaces, to which nobody can be added until the end: a new membership waits for them.

    Always before the person's own row, and in one order, so that nobody waits in a circle.
    """
    own = Workspace.objects.filter(id__in=list(_workspace_ids(user_id)))
    return list(own.select_for_update().order_by("id"))


def _shared(user_id: uuid.UUID, workspaces: list[Workspace]) -> set[uuid.UUID]:
    """Return the ids of those that others belong to as well. Raises `SoleOwner`."""
    everybody = list(Membership.objects.filter(workspace__in=workspaces).values_list("workspace_id", "user_id", "role"))
    shared = {place for place, member_id, _ in everybody if member_id != user_id}
    owners = {
        w.id: [member for place, member, role in everybody if (place, role) == (w.id, Role.OWNER)] for w in workspaces
    }
    orphaned = [
        workspace.slug for workspace in workspaces if workspace.id in shared and owners[workspace.id] == [user_id]
    ]
    if orphaned:
        raise SoleOwner(sorted(orphaned))
    return shared


def _delete_workspace(request: Request, workspace: Workspace) -> None:
    workspace_id = workspace.id
    CredentialUsage.objects.filter(workspace_id=workspace_id).delete()
    workspace.delete()
    record_for(
        request,
        Action.WORKSPACE_DELETED,
        "Workspace deleted together with the account of its only member.",
        workspace_id=workspace_id,
        resource=("workspace", workspace_id),
    )
