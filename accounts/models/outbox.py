"""Mail that is to be sent."""

from django.db import models
from django.utils.timezone import now


class OutgoingMail(models.Model):
    """One mail to make and send, written in the transaction that asks for it and deleted when sent
    (accounts/outbox.py).

    It names a kind and its encrypted parameters rather than a text: whether there is anything to send is decided when
    it is sent, so that the request which asked took the same time either way.
    """

    kind = models.CharField(max_length=40)
    parameters = models.TextField()
    created_at = models.DateTimeField(default=now)
    attempts = models.SmallIntegerField(default=0)
    not_before = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["not_before"], name="outgoing_mail_by_time")]

    def __str__(self) -> str:
        return f"{self.kind} mail {self.pk}"
