"""The life of a workspace: made, changed, deleted; and what it holds. Who belongs to one is in members.py, moving
between them in switching.py.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Aggregate, Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.serializers import ValidationError

from accounts.audit import Action, Person, record, record_for
from accounts.hooks import workspace_counts, workspace_sign_ins_ended
from accounts.members import lock_caller
from accounts.models import CredentialUsage, Membership, SignIn, User, Workspace
from accounts.outbox import enqueue
from accounts.permissions import InsufficientPermissions
from accounts.principal import Client, Principal
from accounts.scopes import ROLE_SCOPES, WORKSPACE_OWN, WORKSPACE_WRITE, Role
from accounts.tokens import InvalidToken
from spatialflow import clock
from spatialflow.edited import refuse_edited
from spatialflow.errors import Conflict

MAX_OWNED_WORKSPACES = 20  # a person

OWNERS_FIELDS = {"access_token_lifetime": "the access-token lifetime", "requires_second_factor": "the second factor"}


class SlugTaken(Conflict):
    default_detail = "This slug is taken by another workspace. Choose another one, or send none to be given one."
    default_code = "slug_taken"


class TooManyWorkspaces(Conflict):
    default_detail = f"You own {MAX_OWNED_WORKSPACES} workspaces, as many as one person may. Delete or hand over one."
    default_code = "too_many_workspaces"


class OwnSecondFactorMissing(Conflict):
    """An owner who demanded what they lack would be locked out of everything but setting it up."""

    default_detail = "Set up your own second factor with POST /api/v1/auth/totp before you require one of everybody."
    default_code = "own_second_factor_missing"


@transaction.atomic
def create_workspace(user: User, name: str, client: Client, slug: str | None = None) -> Membership:
    """Return the user's ownership of a new workspace on the free plan. Raises `SlugTaken`; without a slug one is made
    of the name.
    """
    workspace = _insert(name, slug)
    membership = Membership.objects.create(user=user, workspace=workspace, role=Role.OWNER)
    record(
        Action.WORKSPACE_CREATED,
        client,
        "Workspace created.",
        workspace_id=workspace.id,
        actor=Person(user.id, user.email),
        resource=("workspace", workspace.id),
    )
    return membership


def _insert(name: str, slug: str | None) -> Workspace:
    try:
        with transaction.atomic():
            return Workspace.objects.create(name=name, slug=slug or Workspace.objects.free_slug(name))
    except IntegrityError:  # somebody took it, perhaps at this very moment
        if slug is not None:
            raise SlugTaken() from None
        return _insert(name, None)


def personal_workspace_name(user: User) -> str:
    """Return the name of the workspace that a person gets who has none."""
    return user.company or f"{user.name or user.email.partition('@')[0]}'s workspace"[:255]


@transaction.atomic
def create_another(request: Request, name: str, slug: str | None = None) -> Workspace:
    """Return a new workspace of the caller. Raises `InsufficientPermissions`, `InvalidToken`, `TooManyWorkspaces`,
    `SlugTaken`.
    """
    if not request.auth.email_is_verified:
        raise InsufficientPermissions("Verify your email address before making a workspace.", "email_not_verified")
    # So that the count holds, and the end of the account sees the new membership, or this the end.
    user = User.objects.select_for_update(no_key=True).filter(id=request.auth.user_id).first()
    if user is None:
        raise InvalidToken()
    if Membership.objects.filter(user=user, role=Role.OWNER).count() >= MAX_OWNED_WORKSPACES:
        raise TooManyWorkspaces()
    return create_workspace(user, name, Client.of(request), slug).workspace


@transaction.atomic
def update(request: Request, seen: dict[str, Any] | None = None, **changes: Any) -> Workspace:
    """Change the caller's workspace and return it. Raises `InsufficientPermissions`, `OwnSecondFactorMissing`, and with
    `seen`, what it was when the caller looked, `EditedMeanwhile`.

    The trail keeps the names of what changed, and the values only of the security settings: a billing address may be
    a person's.
    """
    caller = lock_caller(request, WORKSPACE_WRITE)
    workspace = request.auth.get_workspace()
    changed = {name: value for name, value in changes.items() if getattr(workspace, name) != value}
    refuse_edited(seen or {}, changed, lambda name: getattr(workspace, name))
    if not changed:
        return workspace
    _refuse_what_only_owners_change(caller, changed)
    for name, value in changed.items():
        setattr(workspace, name, value)
    workspace.save(update_fields=[*changed, "updated_at"])
    record_for(
        request,
        Action.WORKSPACE_UPDATED,
        "Workspace changed.",
        resource=("workspace", workspace.id),
        changes={"fields": sorted(changed), **{n: _plain(changed[n]) for n in OWNERS_FIELDS if n in changed}},
    )
    return workspace


def _refuse_what_only_owners_change(caller: Membership, changed: dict[str, Any]) -> None:
    for name, what in OWNERS_FIELDS.items():
        if name in changed and WORKSPACE_OWN not in ROLE_SCOPES[caller.role]:
            raise InsufficientPermissions(
                f"Only an owner changes {what} of a workspace. Ask one, or leave it out.", scope=WORKSPACE_OWN
            )
    if changed.get("requires_second_factor") and not caller.user.has_second_factor:
        raise OwnSecondFactorMissing()


def _plain(value: Any) -> Any:
    return int(value.total_seconds()) if isinstance(value, timedelta) else value


@transaction.atomic
def delete(request: Request, slug: str) -> None:
    """Delete the caller's workspace with everything in it, for an owner who confirms it with its slug.

    Sign-ins in it end, and its other members are told. The audit trail stays.
    """
    lock_caller(request, WORKSPACE_OWN)
    workspace = request.auth.get_workspace()
    if slug != workspace.slug:
        raise ValidationError({"slug": ["This is not the slug (short name) of the workspace that you are in."]})
    others = workspace.memberships.exclude(user_id=request.auth.user_id)
    for user_id in others.values_list("user_id", flat=True):
        enqueue("workspace_deleted", user_id=str(user_id), workspace_name=workspace.name)
    CredentialUsage.objects.filter(workspace_id=workspace.id).delete()
    deleted_id = workspace.id
    workspace.delete()
    record_for(request, Action.WORKSPACE_DELETED, "Workspace deleted.", resource=("workspace", deleted_id))


@transaction.atomic
def end_all_sign_ins(request: Request) -> tuple[int, int]:
    """End everybody's sign-ins in the caller's workspace, the caller's too. Return how many members had some, and how
    many there were.

    Sign-ins of members that are in another workspace at this moment go on there, and cannot enter this one.
    """
    lock_caller(request, WORKSPACE_OWN)
    workspace = request.auth.get_workspace()
    workspace.sign_ins_ended_at = clock.now()
    workspace.save(update_fields=["sign_ins_ended_at"])
    workspace_sign_ins_ended.run(workspace.id)
    live = SignIn.objects.live().filter(workspace_id=request.auth.workspace_id)
    ended = list(live.select_for_update(no_key=True).order_by("id").values_list("id", "user_id"))
    SignIn.objects.filter(id__in=[sign_in_id for sign_in_id, _ in ended]).revoke("all_sessions_revoked")
    record_for(
        request,
        Action.SESSIONS_REVOKED,
        "Everybody's sign-ins in the workspace were ended.",
        resource=("workspace", request.auth.workspace_id),
        changes={"sign_ins_ended": len(ended)},
    )
    return len({user_id for _, user_id in ended}), len(ended)


def usage_today(principal: Principal) -> dict[str, Any]:
    """Return what the caller's workspace holds, and its API requests since midnight UTC.

    Requests are counted by the hours that began today. Location events and action deliveries belong to services of
    the platform that are not here, so there are none; a request is one event unit.
    """
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    today = CredentialUsage.objects.filter(workspace_id=OuterRef("id"), started_at__gte=midnight)
    held = Workspace.objects.filter(id=principal.workspace_id).values(
        members=_total(Membership.objects.filter(workspace_id=OuterRef("id")), Count("id")),
        requests=_total(today, Sum("requests")),
        refusals=_total(today, Sum("refusals")),
    )
    used = held.first() or {"members": 0, "requests": 0, "refusals": 0}
    return {
        "location_events": 0,
        "action_deliveries": 0,
        "event_units": used["requests"],
        "tier": principal.plan,
        "tier_limit": None,
        "period_start": midnight,
        "period_end": _end_of_day(midnight),
        "api_requests": used["requests"],
        "api_refusals": used["refusals"],
        "hourly_request_limit": settings.PLAN_LIMITS[principal.plan],
        "members": used["members"],
        **{name: count(principal.workspace_id) for name, count in workspace_counts.items()},
    }


def _total(rows: QuerySet[Any], total: Aggregate) -> Coalesce:
    """Return what `rows` of the outer workspace come to, as part of one query; 0 where there are none."""
    return Coalesce(Subquery(rows.order_by().values("workspace_id").annotate(total=total).values("total")), 0)


def _end_of_day(midnight: datetime) -> datetime:
    return midnight + timedelta(days=1) - timedelta(seconds=1)
