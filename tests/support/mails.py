"""Mail, as tests read it: what the outbox sends in this process, and what a running server leaves as files."""

import re
import time
from email import message_from_bytes
from email.message import Message

from django.core import mail
from django.core.mail import EmailMessage

from accounts.outbox import deliver_pending
from tests.support.launch import Server


def delivered() -> list[EmailMessage]:
    """Send what is pending and return it, oldest first."""
    mail.outbox.clear()
    deliver_pending()
    return list(mail.outbox)


def delivered_to(address: str) -> EmailMessage:
    """Send what is pending and return the one mail to this address."""
    [found] = [sent for sent in delivered() if sent.to == [address]]
    return found


def secret_in(text: str) -> str:
    """Return the secret of the link in a mail's text."""
    [secret] = re.findall(r"[?&]token=([\w-]+)", text)
    return str(secret)


def mail_of(server: Server, address: str, subject: str) -> Message:
    """Wait for the server's mail to this address and return it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for path in server.mail.glob("*.log"):
            found = message_from_bytes(path.read_bytes())
            if found["To"] == address and found["Subject"] == subject and "Date" in found:
                return found
        time.sleep(0.05)
    raise AssertionError(f"no mail {subject!r} to {address}: {[p.read_text() for p in server.mail.glob('*')]}")
