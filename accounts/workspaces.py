"""The life of a workspace: made, changed, deleted. Who belongs to one is in members.py, moving between them in
switching.py.
"""

from django.db import IntegrityError, transaction

from accounts.audit import Action, Person, record
from accounts.models import Membership, User, Workspace
from accounts.principal import Client
from accounts.scopes import Role
from spatialflow.errors import Conflict


class SlugTaken(Conflict):
    default_detail = "This slug is taken by another workspace. Choose another one, or send none to be given one."
    default_code = "slug_taken"


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
    return f"{user.company or user.name or user.email.partition('@')[0]}'s workspace"[:255]
