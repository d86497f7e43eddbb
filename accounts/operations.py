"""What only the operator of the service does, from a shell: suspend and reinstate people and workspaces, set plans.

Suspending acts on the next request. Sign-ins end for good: reinstating revives no token. API keys are refused
meanwhile and work again afterwards; whoever may not have them back revokes them.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.audit import Action, Person, record
from accounts.hooks import sign_ins_ended, workspace_sign_ins_ended
from accounts.models import Invitation, MailedToken, SignIn, User, Workspace
from accounts.outbox import enqueue
from accounts.principal import Client
from accounts.second_factor import drop

OPERATOR = Client("", "manage.py")  # acts on the server itself, without an account


@transaction.atomic
def suspend_user(user: User) -> int:
    """Let a person in nowhere any more, and return how many of their sign-ins ended. Links mailed to them die too, and
    so do the invitations that they made, whose links they know.
    """
    _lock_workspaces_of(user)  # so that no invitation of theirs is on its way
    Invitation.objects.filter(invited_by=user, used_at=None, revoked_at=None).update(revoked_at=timezone.now())
    User.objects.filter(id=user.id).update(is_active=False)
    MailedToken.objects.filter(user=user).delete()
    sign_ins_ended.run(user.id)
    ended = SignIn.objects.filter(user=user).revoke("suspended")
    _record_user(user, Action.ACCOUNT_SUSPENDED, "The operator suspended this account.", ended)
    return ended


def _lock_workspaces_of(user: User) -> None:
    own = Workspace.objects.filter(id__in=list(user.memberships.values_list("workspace_id", flat=True)))
    list(own.select_for_update(no_key=True).order_by("id").values_list("id"))


@transaction.atomic
def reinstate_user(user: User) -> int:
    """Let a person in again, and return how many sign-ins ended that had begun while the suspension was on its way."""
    ended = SignIn.objects.filter(user=user).revoke("suspended")
    User.objects.filter(id=user.id).update(is_active=True)
    _record_user(user, Action.ACCOUNT_REINSTATED, "The operator reinstated this account.", ended)
    return ended


def _record_user(user: User, action: Action, description: str, sign_ins_ended: int) -> None:
    """Record it in the trail of every workspace that the person belongs to, where its owners see it."""
    for workspace_id in list(user.memberships.values_list("workspace_id", flat=True)) or [None]:
        record(
            action,
            OPERATOR,
            description,
            workspace_id=workspace_id,
            target=Person(user.id, user.email),
            resource=("user", user.id),
            changes={"sign_ins_ended": sign_ins_ended},
        )


@transaction.atomic
def remove_second_factor(user: User) -> int:
    """Take a person's second factor and recovery codes away, who lost both; return how many sign-ins ended. They are
    told by mail.
    """
    User.objects.select_for_update(no_key=True).get(id=user.id)
    drop(user)
    sign_ins_ended.run(user.id)
    ended = SignIn.objects.filter(user=user).revoke("second_factor_changed")
    _record_user(user, Action.SECOND_FACTOR_DISABLED, "The operator removed the second factor.", ended)
    enqueue("second_factor_changed", user_id=str(user.id), change=Action.SECOND_FACTOR_DISABLED)
    return ended


@transaction.atomic
def suspend_workspace(workspace: Workspace) -> int:
    """Let nobody and no key into a workspace any more, and return how many sign-ins ended."""
    return _set_suspended(workspace, timezone.now(), Action.WORKSPACE_SUSPENDED, "The operator suspended it.")


@transaction.atomic
def reinstate_workspace(workspace: Workspace) -> int:
    """Let people and keys in again, and return how many sign-ins ended that began while the suspension was on its
    way.
    """
    return _set_suspended(workspace, None, Action.WORKSPACE_REINSTATED, "The operator reinstated it.")


def _set_suspended(workspace: Workspace, at: datetime | None, action: Action, description: str) -> int:
    workspace_sign_ins_ended.run(workspace.id)
    ended = SignIn.objects.filter(workspace=workspace).revoke("suspended")
    Workspace.objects.filter(id=workspace.id).update(suspended_at=at)
    _record_workspace(workspace, action, description, {"sign_ins_ended": ended})
    return ended


@transaction.atomic
def set_plan(workspace: Workspace, plan: str) -> None:
    """Give a workspace a plan; its limits hold from the next request on."""
    Workspace.objects.filter(id=workspace.id).update(plan=plan)
    _record_workspace(workspace, Action.WORKSPACE_UPDATED, "The operator set the plan.", {"plan": plan})


def _record_workspace(workspace: Workspace, action: Action, description: str, changes: dict[str, object]) -> None:
    resource = ("workspace", workspace.id)
    record(action, OPERATOR, description, workspace_id=workspace.id, resource=resource, changes=changes)
