"""Who belongs to a workspace, and in which role. The rules:

- Owners change and remove anybody. Managers change and remove field workers and members, and make nobody an owner.
- A workspace always has an owner: the last one can neither leave, be removed nor be given another role.
- Whoever loses rights loses at once their sign-ins in the workspace, and the keys that carry more than the new role.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from rest_framework import status
from rest_framework.request import Request

from accounts.audit import Action, Person, record_for
from accounts.hooks import membership_ended, role_lowered
from accounts.models import FormerMember, Membership, SignIn, User, Workspace
from accounts.permissions import InsufficientPermissions
from accounts.principal import Principal
from accounts.scopes import MEMBERS_WRITE, ROLE_SCOPES, Role
from spatialflow.api import read_id
from spatialflow.edited import left_as_seen, refuse_edited
from spatialflow.errors import ApiError, NotFound

MANAGED_ROLES = frozenset({Role.FIELD_WORKER, Role.MEMBER})  # whom managers may change and remove
MAX_LISTED = 500


class LastOwner(ApiError):
    default_detail = "This is the workspace's last owner. Make somebody else an owner first."
    default_code = "last_owner"


class LastOwnerStays(LastOwner):
    """The same, where the contract foresees a 403."""

    status_code = status.HTTP_403_FORBIDDEN


@dataclass(frozen=True)
class MemberList:
    """The first members of a workspace, and how many there are in all."""

    members: list[Membership]
    total: int

    @property
    def truncated(self) -> bool:
        return self.total > len(self.members)


def list_members(workspace_id: uuid.UUID) -> MemberList:
    """Return the members in the order in which they came, at most MAX_LISTED."""
    everybody = find_members(workspace_id)
    return MemberList(list(everybody[:MAX_LISTED]), everybody.count())


def find_members(workspace_id: uuid.UUID, search: str = "") -> QuerySet[Membership]:
    """Return the members in the order in which they came: all, or whose name or address contains `search`."""
    found = Membership.objects.filter(workspace_id=workspace_id)
    if search:
        found = found.filter(Q(user__name__icontains=search) | Q(user__email__icontains=search))
    return found.select_related("user").order_by("created_at", "id")


def list_people(workspace_id: uuid.UUID, most: int) -> list[tuple[uuid.UUID, str]]:
    """Return ids and addresses of the first members by address, at most so many."""
    everybody = Membership.objects.filter(workspace_id=workspace_id).order_by("user__email")
    return list(everybody.values_list("user_id", "user__email")[:most])


def get_member(principal: Principal, user_id: str) -> Membership:
    """Return a member of the caller's workspace. Raises `NotFound`, alike for absent and for somebody else's."""
    member = _find(principal.workspace_id, read_id(user_id))
    if member is None:
        raise NotFound()
    return member


def roles_to_give(own_role: str, member_role: str) -> list[Role]:
    """Return the roles that somebody of `own_role` may give a member of `member_role`: none to whom they may neither
    change nor remove.
    """
    if own_role == Role.OWNER:
        return list(Role)
    if own_role == Role.MANAGER and member_role in MANAGED_ROLES:
        return [role for role in Role if role != Role.OWNER]
    return []


@transaction.atomic
def change_role(request: Request, user_id: str, role: str, seen: dict[str, Any] | None = None) -> Membership:
    """Give a member of the caller's workspace a role. Raises `NotFound`, `InsufficientPermissions`, `LastOwner`, and
    with `seen`, what the member was when the caller looked, `EditedMeanwhile`; what was left as seen is no change.
    """
    caller, member = _get_locked(request, user_id)
    if role not in roles_to_give(caller.role, member.role):
        raise InsufficientPermissions("Only owners change owners and managers, or make somebody an owner.")
    if member.role == role or left_as_seen(seen or {}, {"role": role}):
        return member
    refuse_edited(seen or {}, {"role": role}, {"role": member.role}.__getitem__)
    if member.role == Role.OWNER and _is_last_owner(member):
        raise LastOwner()
    former, member.role = member.role, role
    member.save(update_fields=["role"])
    if ROLE_SCOPES[former] - ROLE_SCOPES[role]:
        _end_sign_ins(member, "role_lowered")
        role_lowered.run(member.user_id, member.workspace_id)
    record_for(
        request,
        Action.ROLE_CHANGED,
        "Role changed.",
        target=Person(member.user_id, member.user.email),
        resource=("member", member.user_id),
        changes={"role": {"from": former, "to": role}},
    )
    return member


@transaction.atomic
def remove(request: Request, user_id: str, seen: dict[str, Any] | None = None) -> None:
    """End a membership in the caller's workspace, or the caller's own. Raises `NotFound`, `InsufficientPermissions`,
    `LastOwnerStays`, and with `seen`, what the member was when the caller looked, `EditedMeanwhile`.
    """
    caller, member = _get_locked(request, user_id)
    if caller != member and not roles_to_give(caller.role, member.role):
        raise InsufficientPermissions("Only owners remove owners and managers.")
    refuse_edited(seen or {}, {"role": None}, {"role": member.role}.__getitem__)
    _end(request, member, "Member removed." if caller != member else "Left the workspace.")


@transaction.atomic
def leave(request: Request) -> None:
    """End the caller's own membership. Raises `LastOwnerStays`."""
    _lock(request.auth.workspace_id)
    own = _find(request.auth.workspace_id, request.auth.user_id)
    if own is None:
        raise NotFound()
    _end(request, own, "Left the workspace.")


def end_membership(member: Membership) -> None:
    """Let a person belong to the workspace no more, within the caller's transaction, who asks whether they may go."""
    _end_sign_ins(member, "membership_ended")
    User.objects.filter(id=member.user_id, last_workspace_id=member.workspace_id).update(last_workspace=None)
    Membership.objects.filter(id=member.id).delete()
    FormerMember.objects.get_or_create(user_id=member.user_id, workspace_id=member.workspace_id)
    membership_ended.run(member.user_id, member.workspace_id)


def _end(request: Request, member: Membership, description: str) -> None:
    if member.role == Role.OWNER and _is_last_owner(member):
        raise LastOwnerStays()
    end_membership(member)
    record_for(
        request,
        Action.MEMBER_REMOVED,
        description,
        target=Person(member.user_id, member.user.email),
        resource=("member", member.user_id),
        changes={"role": {"from": member.role, "to": None}},
    )


def lock_caller(request: Request, scope: str) -> Membership:
    """Return the caller's membership as it is now, while this transaction keeps others from changing roles there.

    It is read anew, because since this request was authenticated somebody may have removed, demoted or suspended the
    caller: whatever such a change ends must not be made again behind it. Always the first lock of a transaction. Raises
    `NotFound` where the workspace is gone, `InsufficientPermissions` where the caller's role holds `scope` no more.
    """
    _lock(request.auth.workspace_id)
    caller = _find(request.auth.workspace_id, request.auth.user_id)
    if caller is None or not caller.user.is_active or scope not in ROLE_SCOPES[caller.role]:
        raise InsufficientPermissions(f"Insufficient permissions: this request needs the scope {scope}.", scope=scope)
    return caller


def _get_locked(request: Request, user_id: str) -> tuple[Membership, Membership]:
    """Return the caller's membership and the one of `user_id` in their workspace, both as `lock_caller` does."""
    caller = lock_caller(request, MEMBERS_WRITE)
    member = _find(caller.workspace_id, read_id(user_id))
    if member is None:
        raise NotFound()
    return caller, member


def _lock(workspace_id: uuid.UUID) -> None:
    """Let changes of roles in a workspace happen one after the other: each counts the owners before it acts."""
    if Workspace.objects.lock(workspace_id) is None:
        raise NotFound()


def _find(workspace_id: uuid.UUID, user_id: uuid.UUID) -> Membership | None:
    return Membership.objects.select_related("user").filter(workspace_id=workspace_id, user_id=user_id).first()


def _is_last_owner(member: Membership) -> bool:
    owners = Membership.objects.filter(workspace_id=member.workspace_id, role=Role.OWNER, user__is_active=True)
    return not owners.exclude(id=member.id).exists()


def _end_sign_ins(member: Membership, reason: str) -> None:
    SignIn.objects.filter(user_id=member.user_id, workspace_id=member.workspace_id).revoke(reason)
