"""Mail, as tests read it: what the outbox sends in this process, and what a running server leaves as files."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from django.core import mail
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import OutgoingMail
from accounts.outbox import deliver_pending
from tests.support.launch import mail_folders


def delivered() -> list[EmailMessage]:
    """Send what is pending and return it, oldest first."""
    mail.outbox.clear()
    deliver_pending()
    return list(mail.outbox)


@contextmanager
def held_back() -> Iterator[list[EmailMessage]]:
    """Keep the mail that others write meanwhile from live servers of this database; the list holds it in the end.

    A server that another test has left running sends what is pending within seconds.
    """
    messages: list[EmailMessage] = []
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE FUNCTION hold_back() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN NEW.not_before := now() + interval '1 hour'; RETURN NEW; END $$;
            CREATE TRIGGER hold_back BEFORE INSERT ON accounts_outgoingmail
                FOR EACH ROW EXECUTE FUNCTION hold_back()""")
        try:
            yield messages
            with transaction.atomic():  # nobody else sees what is due before it is gone
                OutgoingMail.objects.update(not_before=timezone.now())
                messages += delivered()
        finally:
            cursor.execute("DROP FUNCTION hold_back CASCADE")


def delivered_to(address: str) -> EmailMessage:
    """Send what is pending and return the one mail to this address."""
    [found] = [sent for sent in delivered() if sent.to == [address]]
    return found


def secret_in(text: str) -> str:
    """Return the secret of the link in a mail's text."""
    [secret] = re.findall(r"[?&]token=([\w-]+)", text)
    return str(secret)


def mail_of(address: str, subject: str) -> Message:
    """Wait for the mail to this address and return it, whichever running server sends it: they share one database."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for path in mail_files():
            found = message_from_bytes(path.read_bytes())
            if found["To"] == address and found["Subject"] == subject and "Date" in found:
                return found
        time.sleep(0.05)
    raise AssertionError(f"no mail {subject!r} to {address}: {[path.read_text() for path in mail_files()]}")


def mail_files() -> list[Path]:
    """Return what the running servers have sent."""
    return [path for folder in mail_folders for path in folder.glob("*.log")]
