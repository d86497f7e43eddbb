"""The mails about a workspace as a whole."""

from django.core.mail import EmailMessage

from accounts.mail import message
from accounts.models import User
from accounts.outbox import mail


@mail("workspace_deleted")
def workspace_deleted(user_id: str, workspace_name: str) -> EmailMessage | None:
    """To each member of a workspace that was deleted but the one who did it."""
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is None:
        return None
    return message(
        user.email,
        f"The workspace {workspace_name} was deleted",
        f"An owner deleted the workspace {workspace_name} in SpatialFlow, with everything in it.",
        "Your account remains; the API keys that you made in that workspace do not work any more.",
    )
