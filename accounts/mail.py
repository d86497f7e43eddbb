"""The mails: whom they go to and what they say. They are made when they are sent (accounts/outbox.py).

Links lead to PUBLIC_URL, never to the Host of a request. Mail goes to the stored address, never to the one typed.
"""

from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import EmailMessage

from accounts import mailed_tokens
from accounts.models import MailedToken, User
from accounts.outbox import mail


def link(page: str, **parameters: str) -> str:
    return f"{settings.PUBLIC_URL}/{page}?{urlencode(parameters)}"


def message(recipient: str, subject: str, *paragraphs: str) -> EmailMessage:
    return EmailMessage(subject, "\n\n".join(paragraphs) + "\n", to=[recipient])


WHO_CHOSE_THE_PASSWORD = (
    "Whoever signed up, or opened the link of an invitation to this address, chose the password of this account, and "
    "it stays. If that was not you, do not open the link above: ignore this mail, or set a password of your own, which "
    "shuts them out:",
    link("forgot-password"),
)
BY_INVITATION_ALONE = (
    "The account was opened by the link of an invitation and has no password. Opening the link above signs out whoever "
    "came in that way. To sign in again, set a password:",
    link("forgot-password"),
)


@mail("verify_email")
def verify_email(email: str) -> EmailMessage | None:
    """To an account whose address is not verified yet; to nobody else."""
    user = User.objects.filter(email=email, is_active=True, email_verified_at=None).first()
    if user is None:
        return None
    token = mailed_tokens.make(user, MailedToken.Purpose.VERIFY_EMAIL, user.email)
    return message(
        user.email,
        "Verify your email address",
        "Welcome to SpatialFlow. Open this link within 24 hours to verify that this address is yours:",
        link("verify-email", token=token),
        *(WHO_CHOSE_THE_PASSWORD if user.has_usable_password() else BY_INVITATION_ALONE),
    )
