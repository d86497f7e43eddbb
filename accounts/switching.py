"""Which workspaces a person may enter, and moving a sign-in from one to another."""

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from rest_framework import status
from rest_framework.request import Request

from accounts import tokens
from accounts.audit import Action, record_for
from accounts.models import Membership, SignIn, User
from accounts.principal import Client, Principal
from accounts.sso_requirement import BOUND_METHODS
from accounts.tokens import TokenPair
from spatialflow.errors import ApiError


class NotAMember(ApiError):
    """A workspace that is not there, that is somebody else's and one that is suspended answer alike."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "You cannot enter this workspace. See GET /api/v1/workspaces/available for those you can."
    default_code = "not_a_member"


class BoundToWorkspace(ApiError):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = (
        "You signed in with this workspace's identity provider or recovery link, which counts in this workspace only. "
        "Sign in another way to enter another one."
    )
    default_code = "sign_in_bound_to_workspace"


class SignInTooOld(ApiError):
    """403 and not 401: the sign-in goes on where it is."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "This workspace has ended all sign-ins since yours began. Sign in again to enter it."
    default_code = "sign_in_too_old"


def enterable(user_id: uuid.UUID) -> QuerySet[Membership]:
    """Return the memberships of a person in workspaces that are not suspended, the oldest first."""
    memberships = Membership.objects.filter(user_id=user_id, workspace__suspended_at=None).select_related("workspace")
    return memberships.order_by("created_at", "id")


def offered(principal: Principal) -> QuerySet[Membership]:
    """Return the memberships that a caller may choose from: who is confined to the workspace sees no other."""
    own = enterable(principal.user_id)
    return own.filter(workspace_id=principal.workspace_id) if principal.is_confined else own


def choices(principal: Principal, current_workspace_id: uuid.UUID) -> dict[str, Any]:
    """Return what a person may choose from, with the number of members of each, and what a picker should do.

    `skip_picker`: there is nothing to choose. `selection_required`: there is, and they have never chosen.
    """
    counted = Membership.objects.filter(workspace_id=OuterRef("workspace_id")).order_by().values("workspace_id")
    eligible = list(offered(principal).annotate(member_count=Subquery(counted.values(count=Count("id")))))
    last_chosen = User.objects.values_list("last_workspace_id", flat=True).get(id=principal.user_id)
    has_chosen = any(membership.workspace_id == last_chosen for membership in eligible)
    return {
        "current_workspace_id": current_workspace_id,
        "eligible": eligible,
        "skip_picker": len(eligible) == 1,
        "selection_required": len(eligible) > 1 and not has_chosen,
    }


@transaction.atomic
def select(request: Request, workspace_id: str) -> TokenPair:
    """Move the caller's sign-in to one of their workspaces and return its next pair; all its earlier tokens die.

    It is the workspace of their next login, too. Raises `NotAMember`, `BoundToWorkspace`, `SignInTooOld`,
    `InvalidToken`.
    """
    principal = request.auth
    # The lock puts it in order with what ends sign-ins in that workspace, so that none slips in behind it.
    memberships = enterable(principal.user_id).select_for_update(no_key=True, of=("workspace",))
    membership = memberships.filter(workspace_id=_id_or_nil(workspace_id)).first()
    if membership is None:
        raise NotAMember()
    if membership.workspace_id != principal.workspace_id:
        _refuse_bound_sign_in(principal.credential_id)
        _refuse_older_sign_in(principal.credential_id, membership.workspace.sign_ins_ended_at)
    pair = tokens.switch(principal, membership.workspace_id, Client.of(request))
    User.objects.filter(id=principal.user_id).update(last_workspace_id=membership.workspace_id)
    record_for(
        request,
        Action.WORKSPACE_SELECTED,
        "Entered the workspace.",
        workspace_id=membership.workspace_id,
        resource=("session", principal.credential_id),
    )
    return pair


def _refuse_bound_sign_in(sign_in_id: uuid.UUID) -> None:
    if SignIn.objects.filter(id=sign_in_id, method__in=BOUND_METHODS).exists():
        raise BoundToWorkspace()


def _refuse_older_sign_in(sign_in_id: uuid.UUID, ended_at: datetime | None) -> None:
    if ended_at and SignIn.objects.filter(id=sign_in_id, created_at__lte=ended_at).exists():
        raise SignInTooOld()


def _id_or_nil(text: str) -> uuid.UUID:
    """Return the id, or one that nothing has."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)
