"""What accounts removes when its time is over (spatialflow/pruning.py). The audit trail stays for good."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import Invitation, MailedToken, OutgoingMail, SignIn
from spatialflow.pruning import ROWS_AT_ONCE, Chore, delete_in_batches, delete_some

SIGN_INS_KEPT = timedelta(days=90)  # after their end: they tell a known device from a new one
LINKS_KEPT = timedelta(days=1)
INVITATIONS_KEPT = timedelta(days=90)  # after they were accepted, revoked, or expired: the workspace's list shows them
MAIL_KEPT = timedelta(days=7)  # unsent: no link in it works any more


def _ended_sign_ins() -> Iterator[int]:
    """Delete old sign-ins but each person's last, without which a thief's would pass for their first, which is no news
    (accounts/devices.py). One pass in the order of their end, since those that stay are passed over only once.
    """
    later = SignIn.objects.filter(user_id=OuterRef("user_id"), created_at__gt=OuterRef("created_at"))
    over = SignIn.objects.filter(expires_at__lt=timezone.now() - SIGN_INS_KEPT).order_by("expires_at", "id")
    page = list(over.values_list("id", "expires_at")[:ROWS_AT_ONCE])
    while page:
        doomed = SignIn.objects.filter(Exists(later), id__in=[sign_in_id for sign_in_id, _ in page])
        yield delete_some(doomed)
        last_id, last_end = page[-1]
        beyond = Q(expires_at__gt=last_end) | Q(expires_at=last_end, id__gt=last_id)
        page = list(over.filter(beyond, expires_at__gte=last_end).values_list("id", "expires_at")[:ROWS_AT_ONCE])


def _mailed_tokens() -> QuerySet:
    return MailedToken.objects.filter(expires_at__lt=timezone.now() - LINKS_KEPT)


def _past_invitations() -> QuerySet:
    moment = timezone.now() - INVITATIONS_KEPT
    never_used = Q(used_at=None, revoked_at=None, expires_at__lt=moment)
    return Invitation.objects.filter(Q(used_at__lt=moment) | Q(revoked_at__lt=moment) | never_used)


def _unsendable_mail() -> QuerySet:
    return OutgoingMail.objects.filter(created_at__lt=timezone.now() - MAIL_KEPT)


CHORES = [
    Chore("ended sign-ins", _ended_sign_ins),
    Chore("mailed links", delete_in_batches(_mailed_tokens)),
    Chore("past invitations", delete_in_batches(_past_invitations)),
    Chore("mail that never went out", delete_in_batches(_unsendable_mail)),
]
