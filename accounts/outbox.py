"""Mail that goes out after the answer: a row written with what asks for it, sent by a thread of the server, deleted
when sent.

So a request takes the same time whether there is somebody to write to or not, a slow mail server slows nobody, and
nothing is lost when a process dies. `manage.py deliver_mail` sends what is pending from a shell.
"""

import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.mail import EmailMessage
from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import OutgoingMail
from spatialflow.encryption import decrypt, encrypt

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 8
POLL_SECONDS = 10

# Makes the mail of one kind from its parameters, or None when there is nobody to write to after all.
Maker = Callable[..., EmailMessage | None]
makers: dict[str, Maker] = {}
_something_to_send = threading.Event()


def mail(kind: str) -> Callable[[Maker], Maker]:
    """Register the decorated function as the maker of this kind of mail."""

    def register(maker: Maker) -> Maker:
        makers[kind] = maker
        return maker

    return register


def enqueue(kind: str, **parameters: Any) -> None:
    """Ask for a mail, within the caller's transaction. Parameters are JSON values; they are encrypted at rest."""
    OutgoingMail.objects.create(kind=kind, parameters=sealed(**parameters))
    transaction.on_commit(_something_to_send.set)


def sealed(**parameters: Any) -> str:
    """Return the parameters of a mail as its row keeps them."""
    return encrypt(json.dumps(parameters))


def deliver_pending() -> int:
    """Send what is due and return how many were sent. Safe to run anywhere at once: each row is taken by one."""
    sent = 0
    while (outcome := _deliver_next()) is not None:
        sent += outcome
    return sent


def _deliver_next() -> bool | None:
    """Return whether the next due mail was sent, or None when none is due."""
    with transaction.atomic():
        due = OutgoingMail.objects.filter(not_before__lte=timezone.now()).order_by("id")
        row = due.select_for_update(skip_locked=True).first()
        if row is None:
            return None
        try:
            with transaction.atomic():  # a maker's failed statement must not undo the note that it failed
                message = makers[row.kind](**json.loads(decrypt(row.parameters)))
            if message is not None:
                message.send()
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            _postpone(row, error)
            return False
        row.delete()
        return True


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
    """Return whether mail is waiting longer than it should: the mail server refuses it, or nobody sends."""
    late = Q(attempts__gt=0) | Q(created_at__lt=timezone.now() - timedelta(seconds=6 * POLL_SECONDS))
    return OutgoingMail.objects.filter(late).exists()


def start_delivery_thread() -> None:
    """Send mail in the background for as long as this process lives. Called by the server's entry point only."""
    threading.Thread(target=_deliver_forever, name="mail-delivery", daemon=True).start()


def _deliver_forever() -> None:
    while True:
        _something_to_send.wait(POLL_SECONDS)
        _something_to_send.clear()
        try:
            deliver_pending()
        except Exception as error:  # the thread has to outlive whatever happens to the database
            logger.warning("mail waits (%s)", type(error).__name__)
        finally:
            close_old_connections()
