"""Swapping connections: the staged one begins to serve at once for everybody, and the one before comes back likewise.

Each swap is one UPDATE, so there is no moment without a serving connection. Whoever is signed in stays so.
"""

from django.db import transaction
from django.db.models import Case, Value, When
from rest_framework.request import Request

from accounts.audit import Action
from spatialflow.errors import Conflict
from sso.mail_saml import tell_owners
from sso.models import IdentityProvider
from sso.saml_config import SsoIsRequired, find_in, forget, is_recovering, lock_own_workspace, record_change
from sso.saml_meant import refuse_others
from sso.saml_plan import refuse_other_plans

State = IdentityProvider.State


class StagedNotTested(Conflict):
    default_detail = (
        "Nobody has signed in by the staged connection as it is now. Test it with POST "
        "/api/v1/workspaces/saml-config/test and staged true, then promote it."
    )
    default_code = "connection_not_tested"


def promote(request: Request, meant: str | None = None) -> IdentityProvider:
    """Let the staged connection serve, and keep the one that served for a roll-back; what was kept before is deleted.
    `meant` is the id of the one that is to serve, so that nothing happens twice.

    Returns the connection that serves now. Raises `NotFound` where none is staged, `PlanRequired`, `StagedNotTested`,
    and what `refuse_others` raises.
    """
    with transaction.atomic():
        workspace = lock_own_workspace(request)
        refuse_other_plans(workspace.plan)
        refuse_others(workspace.id, State.STAGED, meant)
        staged = find_in(workspace.id, State.STAGED)
        if staged.tested_at is None:
            raise StagedNotTested()
        replaced = IdentityProvider.objects.for_workspace(workspace.id).filter(state=State.SERVING).first()
        if replaced is not None:
            forget(workspace.id, [State.FORMER])
        return _swap(request, replaced, staged, Action.SSO_SWAPPED)


def roll_back(request: Request, meant: str | None = None) -> IdentityProvider:
    """Let the connection serve that served before, and keep the one that served in its place: to repeat this undoes it,
    unless the caller has `meant` one by its id. A staged one stays as it is.

    Returns the connection that serves now. Raises `NotFound` where none is kept, `PlanRequired`, and where the former
    one was never seen to work or is switched off while single sign-on is required, `SsoIsRequired`; and what
    `refuse_others` raises.
    """
    with transaction.atomic():
        workspace = lock_own_workspace(request)
        refuse_other_plans(workspace.plan)
        refuse_others(workspace.id, State.FORMER, meant)
        former = find_in(workspace.id, State.FORMER)
        replaced = IdentityProvider.objects.for_workspace(workspace.id).filter(state=State.SERVING).first()
        is_known_to_work = former.is_enabled and (former.tested_at is not None or is_recovering(request))
        if workspace.requires_sso and not is_known_to_work:
            raise SsoIsRequired()
        return _swap(request, replaced, former, Action.SSO_ROLLED_BACK)


def _swap(
    request: Request, replaced: IdentityProvider | None, successor: IdentityProvider, action: Action
) -> IdentityProvider:
    """Let one connection serve and put the other aside, by one UPDATE: the unique constraint is checked at its end."""
    states = [When(id=successor.id, then=Value(str(State.SERVING)))]
    if replaced is not None:
        states.append(When(id=replaced.id, then=Value(str(State.FORMER))))
    concerned = IdentityProvider.objects.for_workspace(successor.workspace_id)
    ids = [successor.id, *([replaced.id] if replaced else [])]
    concerned.filter(id__in=ids).update(state=Case(*states))
    successor.refresh_from_db()
    changes = {"entity_id": {"from": replaced and replaced.entity_id, "to": successor.entity_id}}
    record_change(request, successor.workspace_id, action, "Another SAML connection serves now.", changes)
    tell_owners(successor.workspace_id, "sso_changed", change=str(action), fields=[])
    return successor
