"""Do what is due for single sign-on."""

from collections.abc import Iterator

from spatialflow.management.repeated import RepeatedCommand
from sso.maintenance import run


class Command(RepeatedCommand):
    help = (
        "Check the records of proven domains, read identity providers' metadata, warn of certificates that end. To be "
        "run every hour; several at once do no harm. Exits 1 when the database is gone."
    )

    def act(self) -> Iterator[str]:
        return run()
