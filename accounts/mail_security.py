"""The mails that tell people what happened to their account, so that they notice what they did not do themselves."""

from django.core.mail import EmailMessage

from accounts.audit import Action
from accounts.mail import message
from accounts.models import User, Workspace
from accounts.outbox import mail

NOT_YOU = "If it was not you, set a new password now: that signs out every device."


@mail("new_device")
def new_device(user_id: str, device: str, ip: str, at: str) -> EmailMessage | None:
    """To whoever was signed in from a client and network that their earlier sign-ins did not come from."""
    user = User.objects.filter(id=user_id).first()
    if user is None:
        return None
    return message(
        user.email,
        "New sign-in to your account",
        "Your SpatialFlow account was signed in to from a device or place that we have not seen before:",
        f"{device}\n{ip}\n{at}",
        f"If it was you, there is nothing to do. {NOT_YOU}",
    )


WORDS = {
    Action.SECOND_FACTOR_ENABLED: (
        "Your second factor is set up",
        "From now on signing in with your password also takes a code of your authenticator app. Your other devices "
        "were signed out.",
    ),
    Action.SECOND_FACTOR_DISABLED: (
        "Your second factor was removed",
        "From now on your password alone signs in. Your other devices were signed out.",
    ),
    Action.RECOVERY_CODES_REPLACED: (
        "Your recovery codes were replaced",
        "You have ten new recovery codes; the ones before do not work any more.",
    ),
    Action.RECOVERY_CODE_USED: (
        "A recovery code was used",
        "One of your recovery codes took the place of a code of your authenticator app; it does not work again.",
    ),
}


@mail("second_factor_changed")
def second_factor_changed(user_id: str, change: str) -> EmailMessage | None:
    user = User.objects.filter(id=user_id).first()
    if user is None:
        return None
    subject, what = WORDS[Action(change)]
    return message(user.email, subject, what, NOT_YOU)


@mail("account_reclaimed")
def account_reclaimed(user_id: str, workspace_id: str) -> EmailMessage | None:
    """To whose account was made by nobody knows whom, and is theirs now."""
    user = User.objects.filter(id=user_id).first()
    workspace = Workspace.objects.filter(id=workspace_id).first()
    if user is None or workspace is None:
        return None
    return message(
        user.email,
        "The account with your address is yours now",
        "There was a SpatialFlow account with your address, and nobody had shown that the address is theirs. You have "
        f"now signed in by the identity provider of “{workspace.name}”, which shows that it is yours.",
        "Whoever made the account may have been somebody else. So the password that it had does not work any more, nor "
        "does anything else that was set up before, and whoever was signed in to it is signed out. If it was you, set "
        "a new password with “Forgot password” where you want one.",
    )


@mail("account_deleted")
def account_deleted(email: str) -> EmailMessage:
    """To the address of an account that is gone."""
    return message(
        email,
        "Your account was deleted",
        "Your SpatialFlow account was deleted, as asked for by somebody who was signed in to it. Your sign-ins and API "
        "keys do not work any more, and what we knew of you is gone.",
        "If it was not you, write to the operator of this service.",
    )
