"""Required single sign-on: whose address lies in a proven domain of a workspace that demands it comes in by that
workspace's identity provider, and by nothing else.

The demand follows from the domain alone, and is asked before any account is looked up: it tells nothing of accounts.
It is asked again at each request of a sign-in and at each refresh, so that what changes (the switch, a proof, a plan)
acts on the next request, and no sign-in that is in flight at that moment gets past it. How an identity provider signs
in is in the app `sso`.
"""

import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from rest_framework import status
from rest_framework.request import Request

from accounts.audit import Action, record_for
from accounts.emails import canonical_email
from accounts.models import Membership, SignIn, Workspace, WorkspaceDomain
from accounts.models.domain import PROOF_GRACE
from accounts.outbox import enqueue
from accounts.scopes import Role
from spatialflow.errors import ApiError, NotFound

SSO_PLANS = ("business", "enterprise")

# Methods of a sign-in that a workspace's own identity provider stands for, or the link that repairs it. They count in
# that workspace alone: whoever configures a provider could otherwise make it name a member and walk into that person's
# other workspaces.
BY_SAML, BY_RECOVERY = "saml", "sso_recovery"
BOUND_METHODS = frozenset({BY_SAML, BY_RECOVERY})

# SQL over d, a domain, and r, its workspace. Constants only.
PROVEN = (
    "d.verified_at IS NOT NULL AND (d.lost_at IS NULL OR "
    f"d.lost_at > now() - interval '{PROOF_GRACE.total_seconds():.0f} seconds')"
)
DEMANDING = f"r.requires_sso AND r.suspended_at IS NULL AND r.plan IN {SSO_PLANS}"

# SQL over s, a sign-in, and u, its person: whether a workspace demands another way in of them. One probe of an index.
OVERRULED = f"""EXISTS (
    SELECT FROM accounts_workspacedomain d JOIN accounts_workspace r ON r.id = d.workspace_id
    WHERE d.domain = split_part(u.email, '@', -1) AND {PROVEN} AND {DEMANDING}
      AND NOT (s.method IN {tuple(sorted(BOUND_METHODS))} AND s.workspace_id = r.id)
)"""  # noqa: S608

# The workspace r that demands it of a domain. Every login asks this as part of a statement (accounts/login.py).
FROM_DEMANDING = f"""
FROM accounts_workspacedomain d JOIN accounts_workspace r ON r.id = d.workspace_id
WHERE d.domain = %(domain)s AND {PROVEN} AND {DEMANDING} LIMIT 1
"""


class SsoRequired(ApiError):
    """403 with the way to go: `sso_url` begins the sign-in by the identity provider of `workspace_slug`."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "Your organisation requires single sign-on. Open sso_url in a browser to sign in."
    default_code = "sso_required"

    def __init__(self, workspace_slug: str, detail: str | None = None) -> None:
        sso_url = f"{settings.PUBLIC_URL}/api/v1/auth/saml/{workspace_slug}/initiate"
        super().__init__(detail, extra={"workspace_slug": workspace_slug, "sso_url": sso_url})


def refuse_where_required(email: str, detail: str | None = None) -> None:
    """Raise `SsoRequired` where the domain of an address, however it is typed, belongs to a workspace that demands
    single sign-on. One query, and none about accounts.
    """
    try:
        domain = domain_of(canonical_email(email))
    except ValidationError:  # nobody can have it
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT r.slug {FROM_DEMANDING}", {"domain": domain})  # noqa: S608
        row = cursor.fetchone()
    if row is not None:
        raise SsoRequired(row[0], detail)


def refuse_moving(former_email: str, new_email: str) -> None:
    """Raise `SsoRequired` where either address is covered: nobody moves an account out of what their organisation
    controls, nor into it, where its former ways in would be shut.
    """
    detail = (
        "Your organisation requires single sign-on for this address, so accounts are not moved to or from it. Ask an "
        "owner of the workspace."
    )
    for email in (former_email, new_email):
        refuse_where_required(email, detail)


def domain_of(email: str) -> str:
    """Return the domain of a canonical address; of what is no address, nothing."""
    _, at, domain = email.rpartition("@")
    return domain if at else ""


def _demanding() -> QuerySet[Workspace]:
    return Workspace.objects.filter(requires_sso=True, suspended_at=None, plan__in=SSO_PLANS)


def demands_sso(workspace: Workspace) -> bool:
    """Return whether the requirement of this workspace, as loaded, is in force."""
    return workspace.requires_sso and workspace.suspended_at is None and workspace.plan in SSO_PLANS


@transaction.atomic
def require(request: Request) -> int:
    """Demand single sign-on of the people in the proven domains of the caller's workspace, and return how many of
    their sign-ins ended: in every workspace, all but those by its provider, so perhaps the caller's own.

    The caller of this function has made sure that the provider works. Owners are told by mail.
    """
    workspace = _lock(request.auth.workspace_id)
    workspace.requires_sso = True
    workspace.save(update_fields=["requires_sso", "updated_at"])
    ended = end_overruled_sign_ins(workspace.id)
    _tell(request, workspace, Action.SSO_REQUIRED, "Single sign-on is required from now on.", {"sign_ins_ended": ended})
    return ended


@transaction.atomic
def lift(request: Request) -> None:
    """Let the people of the caller's workspace sign in by any way again. Owners are told by mail.

    What slipped in while the demand began, and was refused since, ends for good: nothing comes back to life.
    """
    workspace = _lock(request.auth.workspace_id)
    end_overruled_sign_ins(workspace.id)
    workspace.requires_sso = False
    workspace.save(update_fields=["requires_sso", "updated_at"])
    _tell(request, workspace, Action.SSO_NOT_REQUIRED, "Single sign-on is not required any more.", None)


def end_overruled_sign_ins(workspace_id: uuid.UUID) -> int:
    """Revoke the sign-ins of people in the workspace's proven domains that neither its identity provider nor a
    recovery link began, in every workspace, and return how many there were.

    For the moment when the demand begins, or reaches one domain more; within the caller's transaction.
    """
    domains = WorkspaceDomain.objects.for_workspace(workspace_id).proven().values_list("domain", flat=True)
    covered = Q(pk__in=[])
    for domain in domains:
        covered |= Q(user__email__endswith=f"@{domain}")
    own = Q(method__in=BOUND_METHODS, workspace_id=workspace_id)
    overruled = SignIn.objects.live().filter(covered).exclude(own)
    # Locked in one order, so that two who end sign-ins never wait in a circle.
    ended = list(overruled.select_for_update(no_key=True, of=("self",)).order_by("id").values_list("id", flat=True))
    return SignIn.objects.filter(id__in=ended).revoke("sso_required")


def owners_of(workspace_id: uuid.UUID) -> list[uuid.UUID]:
    """Return the ids of the people who own a workspace and are active."""
    owners = Membership.objects.filter(workspace_id=workspace_id, role=Role.OWNER, user__is_active=True)
    return list(owners.order_by("created_at", "id").values_list("user_id", flat=True))


def _lock(workspace_id: uuid.UUID) -> Workspace:
    workspace = Workspace.objects.lock(workspace_id)
    if workspace is None:
        raise NotFound()
    return workspace


def _tell(
    request: Request, workspace: Workspace, action: Action, description: str, changes: dict[str, int] | None
) -> None:
    record_for(request, action, description, resource=("workspace", workspace.id), changes=changes)
    for user_id in owners_of(workspace.id):
        enqueue("sso_requirement_changed", user_id=str(user_id), workspace_name=workspace.name, change=action)
