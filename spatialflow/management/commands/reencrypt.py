"""Encrypt anew what is stored under an older key of ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from spatialflow.management.repeated import outages_told
from spatialflow.reencryption import reencrypt


class Command(BaseCommand):
    help = (
        "Encrypt under the first key of ENCRYPTION_KEYS what is stored under another one. Run it once every server has "
        "the new key first; when it succeeds, the older keys may be removed. Safe beside the service and to repeat. "
        "Exits 1 where something is still under an older key or a key is missing."
    )

    def handle(self, **options: Any) -> None:
        left, unreadable = 0, {}
        with outages_told():
            for column in reencrypt():
                self.stdout.write(f"{column.name}: {column.renewed}")
                left += column.left
                if column.unreadable:
                    unreadable[column.name] = column.unreadable
        if unreadable:
            where = ", ".join(f"{name}: {count}" for name, count in unreadable.items())
            raise CommandError(
                f"{sum(unreadable.values())} cannot be decrypted ({where}): the key that they are under is not in "
                "ENCRYPTION_KEYS."
            )
        if left:
            raise CommandError(
                f"{left} are still under an older key: they were in use, or a server that runs does not have the new "
                "key first. Run this again."
            )
        self.stdout.write("Nothing is under an older key: older ones may be removed from ENCRYPTION_KEYS.")
