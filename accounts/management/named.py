"""Finding what an operator names on the command line."""

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from accounts.emails import canonical_email
from accounts.models import User, Workspace


def get_user(typed_email: str) -> User:
    """Return the person with this address, in any spelling. Raises CommandError."""
    try:
        return User.objects.get(email=canonical_email(typed_email))
    except (ValidationError, User.DoesNotExist):
        raise CommandError(f"Nobody has the address {typed_email}.") from None


def get_workspace(slug: str) -> Workspace:
    """Return the workspace with this slug. Raises CommandError."""
    try:
        return Workspace.objects.get(slug=slug)
    except Workspace.DoesNotExist:
        raise CommandError(f"No workspace has the slug {slug}.") from None
