"""The mails about a workspace as a whole."""

from django.core.mail import EmailMessage

from accounts.audit import Action
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


SSO_WORDS = {
    Action.SSO_REQUIRED: (
        "Single sign-on is required in {}",
        "From now on people whose address lies in a proven domain of the workspace {} sign in by its identity provider "
        "alone. Passwords, Google and Apple are refused for them, and whoever had signed in by those is signed out.",
    ),
    Action.SSO_NOT_REQUIRED: (
        "Single sign-on is not required in {} any more",
        "From now on the people of the workspace {} may sign in with a password, Google or Apple again.",
    ),
}


@mail("sso_requirement_changed")
def sso_requirement_changed(user_id: str, workspace_name: str, change: str) -> EmailMessage | None:
    """To each owner of a workspace that has begun or ceased to demand single sign-on."""
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is None:
        return None
    subject, what = (words.format(workspace_name) for words in SSO_WORDS[Action(change)])
    return message(
        user.email,
        subject,
        f"{what} An owner has changed this.",
        "If you did not expect it, ask the other owners, and look into the audit trail of the workspace.",
    )
