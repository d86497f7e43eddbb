"""Remove what has expired or was spent."""

from collections.abc import Iterator

from django.core.management.base import CommandError

from spatialflow.management.repeated import RepeatedCommand
from spatialflow.pruning import ChoreFailed, prune


class Command(RepeatedCommand):
    help = (
        "Remove what has expired or was spent, and print how many rows of each kind. Never touches the audit trail. To "
        "be run every hour; several at once do no harm. Exits 1 when something could not be finished."
    )

    def act(self) -> Iterator[str]:
        try:
            yield from prune()
        except ChoreFailed as error:
            raise CommandError(str(error)) from None
