"""Signing up: a person, their own workspace, and an answer that does not tell whether the address had an account."""

from contextlib import suppress

from django.conf import settings
from django.db import transaction
from rest_framework import status

from accounts.audit import Action, Person, record
from accounts.models import User, Workspace
from accounts.outbox import enqueue
from accounts.passwords import refuse_weak_password
from accounts.principal import Client
from accounts.sso_requirement import refuse_where_required
from accounts.workspaces import create_workspace, personal_workspace_name
from spatialflow.errors import ApiError


class SignupClosed(ApiError):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "Signup is closed here. Ask a workspace owner for an invitation."
    default_code = "signup_closed"


class AddressTaken(Exception):
    """Undoes a signup for an address that has an account; nobody outside is told."""


def sign_up(client: Client, user: User, password: str, workspace_fields: dict[str, str]) -> None:
    """Make an account of the unsaved `user`, and a workspace that they own, unless the address has an account already.

    Either way the same is done, at the same cost: one hash, the same statements (undone where the address is taken),
    and one mail, whose maker finds out what it has to say. Raises `SignupClosed`, `SsoRequired`, and the 422 for a weak
    password.
    """
    if not settings.SIGNUP_IS_OPEN:
        raise SignupClosed()
    refuse_where_required(user.email)
    refuse_weak_password(password, user)
    user.set_password(password)
    with transaction.atomic():
        enqueue("signed_up", email=user.email, user_id=str(user.id))
        with suppress(AddressTaken):
            _make_account(client, user, workspace_fields)


@transaction.atomic
def _make_account(client: Client, user: User, workspace_fields: dict[str, str]) -> None:
    """Insert the user, the workspace and what joins them. Raises `AddressTaken` at the very end, where it saves
    nothing.

    The unique index decides who gets an address. Foreign keys are checked at commit, so rows can follow a user that
    was not inserted, and vanish with the savepoint.
    """
    User.objects.bulk_create([user], ignore_conflicts=True)
    workspace = create_workspace(user, personal_workspace_name(user), client).workspace
    Workspace.objects.filter(id=workspace.id).update(**workspace_fields)
    is_inserted = User.objects.filter(id=user.id).update(last_workspace=workspace)
    record(
        Action.SIGNED_UP,
        client,
        "Signed up.",
        workspace_id=workspace.id,
        actor=Person(user.id, user.email),
        resource=("user", user.id),
        status_code=status.HTTP_201_CREATED,
    )
    if not is_inserted:
        raise AddressTaken()
