"""Mail that goes out after the answer: a row written with what asks for it, sent by a thread of the server, deleted
when sent.

So a request takes the same time whether there is somebody to write to or not, a slow mail server slows nobody, and
nothing is lost when a process dies. Errands go the same way: what somebody else's server is told. They have a thread of
their own, so that a server that does not answer holds up no mail. `manage.py deliver_mail` sends what is pending from a
shell.
"""

import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.mail import EmailMessage
from django.db import close_old_connections, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import OutgoingMail, User
from spatialflow.encryption import decrypt, encrypt
from spatialflow.errors import is_outage

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 8
POLL_SECONDS = 10

# Makes the mail of one kind from its parameters, or None when there is nobody to write to after all.
Maker = Callable[..., EmailMessage | None]
makers: dict[str, Maker] = {}
errands: set[str] = set()
_mail_waits, _errands_wait = threading.Event(), threading.Event()


def mail(kind: str) -> Callable[[Maker], Maker]:
    """Register the decorated function as the maker of this kind of mail."""

    def register(maker: Maker) -> Maker:
        makers[kind] = maker
        return maker

    return register


def errand(kind: str) -> Callable[[Maker], Maker]:
    """Register the decorated function as what is done for an errand of this kind, in one request of a few seconds."""
    errands.add(kind)
    return mail(kind)


def enqueue(kind: str, **parameters: Any) -> None:
    """Ask for a mail or an errand, within the caller's transaction. Parameters are JSON values; they are encrypted at
    rest.
    """
    OutgoingMail.objects.create(kind=kind, parameters=sealed(**parameters))
    transaction.on_commit(_errands_wait.set if kind in errands else _mail_waits.set)


def sealed(**parameters: Any) -> str:
    """Return the parameters of a mail as its row keeps them."""
    return encrypt(json.dumps(parameters))


def deliver_pending() -> int:
    """Send what is due, mail first, and return how many were sent. Safe to run anywhere at once: each row is taken by
    one.
    """
    return _deliver(~Q(kind__in=errands)) + _deliver(Q(kind__in=errands))


def _deliver(lane: Q) -> int:
    sent = 0
    while (outcome := _deliver_next(lane)) is not None:
        sent += outcome
    return sent


def _deliver_next(lane: Q) -> bool | None:
    """Return whether the next due row was sent, or None when none is due."""
    with transaction.atomic():
        due = OutgoingMail.objects.filter(lane, not_before__lte=timezone.now()).order_by("id")
        row = due.select_for_update(skip_locked=True).first()
        if row is None:
            return None
        try:
            with transaction.atomic():  # a maker's failed statement must not undo the note that it failed
                message = makers[row.kind](**json.loads(decrypt(row.parameters)))
            if message is not None and not _is_undeliverable(message):
                message.send()
        except Exception as error:
            if is_outage(error):
                raise
            _postpone(row, error)
            return False
        row.delete()
        return True


def _is_undeliverable(message: EmailMessage) -> bool:
    """Return whether it goes to an address of which a relay has said that it does not forward to it any more."""
    people = User.objects.filter(email__in=message.to, undeliverable_email=F("email"))
    return people.exclude(undeliverable_email="").exists()


def _postpone(row: OutgoingMail, error: Exception) -> None:
    row.attempts += 1
    if row.attempts >= MAX_ATTEMPTS:
        logger.error("%s mail given up after %s attempts (%s)", row.kind, row.attempts, type(error).__name__)
        row.delete()
        return
    logger.warning("%s mail not sent (%s), trying again later", row.kind, type(error).__name__)
    row.not_before = timezone.now() + timedelta(seconds=15 * 2**row.attempts)
    row.save(update_fields=["attempts", "not_before"])


def is_behind() -> bool:
    """Return whether mail is waiting longer than it should: the mail server refuses it, or nobody sends. Errands wait
    for others.
    """
    late = Q(attempts__gt=0) | Q(created_at__lt=timezone.now() - timedelta(seconds=6 * POLL_SECONDS))
    return OutgoingMail.objects.filter(late).exclude(kind__in=errands).exists()


def start_delivery_thread() -> None:
    """Send mail and run errands in the background for as long as this process lives. Called by the server's entry point
    only.
    """
    for name, lane, something_waits in (
        ("mail-delivery", ~Q(kind__in=errands), _mail_waits),
        ("errands", Q(kind__in=errands), _errands_wait),
    ):
        threading.Thread(target=_deliver_forever, args=[name, lane, something_waits], name=name, daemon=True).start()


def _deliver_forever(name: str, lane: Q, something_waits: threading.Event) -> None:
    while True:
        something_waits.wait(POLL_SECONDS)
        something_waits.clear()
        try:
            _deliver(lane)
        except Exception as error:  # the thread has to outlive whatever happens to the database
            logger.warning("%s waits (%s)", name, type(error).__name__)
        finally:
            close_old_connections()
