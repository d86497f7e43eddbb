"""The mails about a person's own account: signup, password, address. How mail is made and sent is in mail.py and
outbox.py.

Here it is decided whether there is an account to write to, long after the request was answered.
"""

from django.core.mail import EmailMessage

from accounts import mailed_tokens
from accounts.mail import link, message, verify_email
from accounts.models import MailedToken, User
from accounts.outbox import mail


@mail("signed_up")
def signed_up(email: str, user_id: str) -> EmailMessage | None:
    """To a new account a link to verify its address; to one that was there already, word that it is."""
    if User.objects.filter(id=user_id).exists():
        return verify_email(email)
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None:
        return None
    return message(
        user.email,
        "You already have an account",
        "Somebody, probably you, tried to sign up for SpatialFlow with this address. It has an account already, "
        "and nothing was changed.",
        "Sign in with the password that you have. If you do not remember it, set a new one:",
        link("forgot-password"),
        "If it was not you, ignore this mail.",
    )


@mail("reset_password")
def reset_password(email: str) -> EmailMessage | None:
    """To an active account, with or without a password, its address verified or not: the link proves it, and an
    address that is not verified is never one that a provider vouches for.
    """
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None:
        return None
    token = mailed_tokens.make(user, MailedToken.Purpose.RESET_PASSWORD, user.email)
    has_password = user.has_usable_password()
    unchanged = "your password stays as it is" if has_password else "your account stays without a password"
    return message(
        user.email,
        "Set a new password",
        "Somebody, probably you, asked for a new password for this account. Open this link within one hour to set it:",
        link("reset-password", token=token),
        f"If it was not you, ignore this mail: {unchanged}.",
    )


@mail("password_changed")
def password_changed(email: str) -> EmailMessage:
    return message(
        email,
        "Your password was changed",
        "The password of your SpatialFlow account was changed, and other devices were signed out. API keys go on "
        "working.",
        "If it was not you, set a new password at once and look through your API keys:",
        link("forgot-password"),
    )


@mail("change_email")
def change_email(email: str, token: str) -> EmailMessage:
    """To the address that an account is to be moved to: the link, or word that it has an account itself."""
    if User.objects.filter(email=email).exists():
        return message(
            email,
            "This address has an account already",
            "Somebody, probably you, asked to move another SpatialFlow account to this address. It has an account of "
            "its own, so nothing was changed.",
            "To move the other account here, delete this one or move it to another address first.",
        )
    return message(
        email,
        "Confirm your new email address",
        "Somebody, probably you, asked to move a SpatialFlow account to this address. Open this link within one hour "
        "to do it; you sign in with this address from then on:",
        link("confirm-email-change", token=token),
        "If it was not you, ignore this mail.",
    )


@mail("email_change_asked")
def email_change_asked(email: str) -> EmailMessage:
    return message(
        email,
        "A change of your email address was asked for",
        "Somebody who knows your password asked to move your SpatialFlow account to another email address. It happens "
        "when the link in the mail to that address is followed.",
        "If you have changed your mind, DELETE /api/v1/auth/change-email makes that link worthless, and so does asking "
        "for another address. If it was not you, set a new password now, which makes it worthless, too:",
        link("forgot-password"),
    )


@mail("email_changed")
def email_changed(former_email: str) -> EmailMessage:
    return message(
        former_email,
        "Your email address was changed",
        "Your SpatialFlow account was moved to another email address, and every device was signed out. This address "
        "does not sign in any more.",
        "If it was not you, ask the operator of this service for help.",
    )
