"""What only an operator of the service does, from a shell or the operator's pages: suspend and reinstate people and
workspaces, remove second factors, set plans.

Suspending acts on the next request. Sign-ins end for good: reinstating revives no token. API keys are refused
meanwhile and work again afterwards; whoever may not have them back revokes them.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.audit import NOBODY, Action, Person, record
from accounts.hooks import sign_ins_ended, workspace_sign_ins_ended
from accounts.models import Invitation, MailedToken, SignIn, User, Workspace
from accounts.outbox import enqueue
from accounts.principal import Client
from accounts.second_factor import drop
from accounts.sso_requirement import BOUND_METHODS, SSO_PLANS


@dataclass(frozen=True)
class Operator:
    """Whoever acts. The trail of a workspace keeps the id of an operator's account, and neither address nor place: its
    owners need not know them, and whoever runs the service finds out by the id.
    """

    client: Client
    person: Person = NOBODY


ENDED = "sign_ins_ended"
OPERATOR = Client("", "manage.py")  # acts on the server itself, without an account
SHELL = Operator(OPERATOR)


def on_the_pages(user_id: uuid.UUID) -> Operator:
    """Return an operator who is signed in."""
    return Operator(Client("", "operator's pages"), Person(user_id, "operator"))


@transaction.atomic
def suspend_user(user: User, by: Operator = SHELL) -> int:
    """Let a person in nowhere any more, and return how many of their sign-ins ended. Links mailed to them die too, and
    so do the invitations that they made, whose links they know.
    """
    _lock_workspaces_of(user)  # so that no invitation of theirs is on its way
    Invitation.objects.filter(invited_by=user, used_at=None, revoked_at=None).update(revoked_at=timezone.now())
    User.objects.filter(id=user.id).update(is_active=False)
    MailedToken.objects.filter(user=user).delete()
    sign_ins_ended.run(user.id)
    ended = SignIn.objects.filter(user=user).revoke("suspended")
    _record_user(user, Action.ACCOUNT_SUSPENDED, "The operator suspended this account.", by, {ENDED: ended})
    return ended


def _lock_workspaces_of(user: User) -> None:
    own = Workspace.objects.filter(id__in=list(user.memberships.values_list("workspace_id", flat=True)))
    list(own.select_for_update(no_key=True).order_by("id").values_list("id"))


@transaction.atomic
def reinstate_user(user: User, by: Operator = SHELL) -> int:
    """Let a person in again, and return how many sign-ins ended that had begun while the suspension was on its way."""
    ended = SignIn.objects.filter(user=user).revoke("suspended")
    User.objects.filter(id=user.id).update(is_active=True)
    _record_user(user, Action.ACCOUNT_REINSTATED, "The operator reinstated this account.", by, {ENDED: ended})
    return ended


def _record_user(user: User, action: Action, description: str, by: Operator, changes: dict[str, object]) -> None:
    """Record it in the trail of every workspace that the person belongs to, where its owners see it."""
    for workspace_id in list(user.memberships.values_list("workspace_id", flat=True)) or [None]:
        record(
            action,
            by.client,
            description,
            workspace_id=workspace_id,
            actor=by.person,
            target=Person(user.id, user.email),
            resource=("user", user.id),
            changes=changes,
        )


@transaction.atomic
def remove_second_factor(user: User, by: Operator = SHELL) -> int:
    """Take a person's second factor and recovery codes away, who lost both; return how many sign-ins ended. They are
    told by mail.
    """
    User.objects.select_for_update(no_key=True).get(id=user.id)
    drop(user)
    sign_ins_ended.run(user.id)
    ended = SignIn.objects.filter(user=user).revoke("second_factor_changed")
    _record_user(user, Action.SECOND_FACTOR_DISABLED, "The operator removed the second factor.", by, {ENDED: ended})
    enqueue("second_factor_changed", user_id=str(user.id), change=Action.SECOND_FACTOR_DISABLED)
    return ended


@transaction.atomic
def suspend_workspace(workspace: Workspace, by: Operator = SHELL) -> int:
    """Let nobody and no key into a workspace any more, and return how many sign-ins ended."""
    return _set_suspended(workspace, timezone.now(), Action.WORKSPACE_SUSPENDED, "The operator suspended it.", by)


@transaction.atomic
def reinstate_workspace(workspace: Workspace, by: Operator = SHELL) -> int:
    """Let people and keys in again, and return how many sign-ins ended that began while the suspension was on its
    way.
    """
    return _set_suspended(workspace, None, Action.WORKSPACE_REINSTATED, "The operator reinstated it.", by)


def _set_suspended(workspace: Workspace, at: datetime | None, action: Action, description: str, by: Operator) -> int:
    workspace_sign_ins_ended.run(workspace.id)
    ended = SignIn.objects.filter(workspace=workspace).revoke("suspended")
    Workspace.objects.filter(id=workspace.id).update(suspended_at=at)
    _record_workspace(workspace, action, description, by, {ENDED: ended})
    return ended


@transaction.atomic
def set_plan(workspace: Workspace, plan: str, by: Operator = SHELL) -> int:
    """Give a workspace a plan, whose limits hold from the next request on, and return how many sign-ins ended: on a
    plan without single sign-on those by the workspace's identity provider, as where its connection is switched off.
    """
    Workspace.objects.filter(id=workspace.id).update(plan=plan)  # first: it locks the row, as whoever comes in does
    ended = 0
    if plan not in SSO_PLANS:
        by_provider = SignIn.objects.live().filter(workspace=workspace, method__in=BOUND_METHODS)
        ended = by_provider.revoke("plan_without_sso")
    changes = {"plan": plan, **({ENDED: ended} if ended else {})}
    _record_workspace(workspace, Action.WORKSPACE_UPDATED, "The operator set the plan.", by, changes)
    return ended


def _record_workspace(
    workspace: Workspace, action: Action, description: str, by: Operator, changes: dict[str, object]
) -> None:
    record(
        action,
        by.client,
        description,
        workspace_id=workspace.id,
        actor=by.person,
        resource=("workspace", workspace.id),
        changes=changes,
    )


@transaction.atomic
def set_operator(user: User, is_operator: bool) -> None:
    """Name a person an operator, or take it away; from a shell alone, so that no page makes operators."""
    User.objects.filter(id=user.id).update(is_staff=is_operator)
    action = Action.OPERATOR_NAMED if is_operator else Action.OPERATOR_REMOVED
    description = "The operator's pages are open to this account." if is_operator else "They are closed to it again."
    record(action, SHELL.client, description, target=Person(user.id, user.email), resource=("user", user.id))
