"""One key of a workspace's service provider takes another's place, and nobody is locked out while its identity provider
gets to know the new one. Only the operator does this, step by step:

`prepare` publishes the next certificate for signatures beside the present one. `switch` signs by it, and offers it for
encryption, once the provider knows it; the former key stays published and still decrypts. `finish` lets the former one
go, once nothing is encrypted for it any more. `go_back` undoes a switch. A key that leaked is replaced `at_once`.
"""

from datetime import timedelta

from django.db import transaction

from accounts.audit import Action, record
from accounts.models import Workspace
from accounts.operations import OPERATOR
from spatialflow import clock
from sso.models import SamlKeyPair
from sso.saml.keys import new_row

State = SamlKeyPair.State
QUIET = timedelta(days=7)  # so long nothing must have been encrypted for a key that is let go


class StepRefused(Exception):
    """A sentence for the operator that says why a step cannot be taken now, and what to do."""


@transaction.atomic
def prepare(workspace: Workspace) -> None:
    """Make the next key and publish its certificate; done already, nothing changes. Raises `StepRefused`."""
    keys = _lock(workspace)
    if State.FORMER in keys:
        raise StepRefused("The former key of the last replacement is still there: finish that one first.")
    if State.PRESENT not in keys:
        raise StepRefused("There is no key yet. It is made when an owner first opens the connection's settings.")
    if State.NEXT not in keys:
        new_row(workspace, State.NEXT).save(force_insert=True)
        _record(workspace, "The operator prepared the service provider's next key.")


@transaction.atomic
def switch(workspace: Workspace) -> None:
    """Sign by the next key from now on, and keep the one before as the former. Raises `StepRefused`."""
    keys = _lock(workspace)
    if State.NEXT not in keys:
        raise StepRefused("No next key is prepared.")
    _move(keys[State.PRESENT], State.FORMER)
    _move(keys[State.NEXT], State.PRESENT)
    _record(workspace, "The service provider signs by its next key from now on.")


@transaction.atomic
def go_back(workspace: Workspace) -> None:
    """Sign by the former key again, and keep the other as the next. Raises `StepRefused`."""
    keys = _lock(workspace)
    if State.FORMER not in keys:
        raise StepRefused("There is no former key to go back to.")
    _move(keys[State.PRESENT], State.NEXT)
    _move(keys[State.FORMER], State.PRESENT)
    _record(workspace, "The service provider signs by its former key again.")


@transaction.atomic
def finish(workspace: Workspace) -> None:
    """Let the former key go. Raises `StepRefused`, also where the provider still encrypts for it."""
    keys = _lock(workspace)
    if State.FORMER not in keys:
        raise StepRefused("There is no former key.")
    former = keys[State.FORMER]
    if former.used_as_former_at is not None and former.used_as_former_at > clock.now() - QUIET:
        raise StepRefused(
            f"The identity provider encrypted for the former certificate at {former.used_as_former_at:%Y-%m-%d %H:%M} "
            f"UTC. Have it take the present one; {QUIET.days} days after the last such answer the former key can go."
        )
    former.delete()
    _record(workspace, "The service provider's former key was removed.")


@transaction.atomic
def at_once(workspace: Workspace) -> None:
    """Let a new key take the place of all there are. Until the administrators of the identity provider have entered
    its certificate, what is signed by it is not believed there, and what is encrypted for another is refused here.
    """
    _lock(workspace)
    SamlKeyPair.objects.filter(workspace=workspace).delete()
    new_row(workspace, State.PRESENT).save(force_insert=True)
    _record(workspace, "The operator replaced the service provider's key at once.")


def keys_of(workspace: Workspace) -> list[SamlKeyPair]:
    """Return the keys that there are, the oldest first."""
    return list(SamlKeyPair.objects.filter(workspace=workspace).order_by("created_at", "id"))


def _lock(workspace: Workspace) -> dict[str, SamlKeyPair]:
    """Return the keys by their state, while no other step is taken."""
    Workspace.objects.lock(workspace.id)
    return {key.state: key for key in keys_of(workspace)}


def _move(key: SamlKeyPair, state: str) -> None:
    key.state, key.used_as_former_at = state, None
    key.save(update_fields=["state", "used_as_former_at"])


def _record(workspace: Workspace, description: str) -> None:
    record(
        Action.SSO_CONFIGURED,
        OPERATOR,
        description,
        workspace_id=workspace.id,
        resource=("workspace", workspace.id),
    )
