"""The mails about identities of a provider, so that people notice what they did not do themselves."""

from django.core.mail import EmailMessage

from accounts.mail import message
from accounts.models import User, Workspace
from accounts.outbox import mail
from sso.providers import get_provider


@mail("identity_linked")
def identity_linked(user_id: str, provider: str) -> EmailMessage | None:
    """To whose account can be entered by one more way now."""
    user = User.objects.filter(id=user_id).first()
    if user is None:
        return None
    name = get_provider(provider).display_name
    return message(
        user.email,
        f"{name} now signs in to your account",
        f"Your SpatialFlow account was signed in to with the {name} account of your email address, and is linked to it "
        "from now on.",
        "If it was not you, somebody else can use that account: secure it first. Then set a new password here with "
        "“Forgot password”, which signs out every device, and turn on two-factor authentication: from then on nobody "
        f"signs in with {name} without your code. Only after that disconnect the linked account; disconnecting alone "
        f"does not last, because the next sign-in with {name} would link it again.",
    )


@mail("workspace_identity_linked")
def workspace_identity_linked(user_id: str, workspace_id: str) -> EmailMessage | None:
    """To whose account is entered by the identity provider of a workspace from now on."""
    user = User.objects.filter(id=user_id).first()
    workspace = Workspace.objects.filter(id=workspace_id).first()
    if user is None or workspace is None:
        return None
    return message(
        user.email,
        f"The identity provider of {workspace.name} now signs you in",
        f"You were signed in to the workspace “{workspace.name}” by its own identity provider, which is linked to your "
        "SpatialFlow account from now on.",
        "It signs you in to this workspace only. If it was not you, tell the owner of the workspace.",
    )


@mail("identity_ended")
def identity_ended(user_id: str, provider: str) -> EmailMessage | None:
    """To whose account has lost a way in that the provider took away."""
    user = User.objects.filter(id=user_id).first()
    if user is None:
        return None
    name = get_provider(provider).display_name
    return message(
        user.email,
        f"{name} does not sign in to your account any more",
        f"You have ended at {name} that it signs you in to SpatialFlow, so what was signed in with it is signed out.",
        "Your account is still here. Sign in with your password; if it has none, set one with “Forgot password”.",
    )
