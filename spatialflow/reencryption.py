"""Encrypting anew, under the first key of ENCRYPTION_KEYS, what is stored under an older one, so that the older can be
removed.

Row by row in small batches, each a short transaction of its own that passes over rows somebody else holds: it may be
stopped at any moment, run as often as one likes, and run beside the service. A text keeps its time of encryption.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Model

from spatialflow.encryption import CannotDecrypt, encrypted_columns, is_newest, renew

ROWS_AT_ONCE = 200


@dataclass
class Column:
    """What became of one column: how many texts were encrypted anew, are still under an older key because somebody held
    their row, and are under a key that is not configured.
    """

    name: str
    renewed: int = 0
    left: int = 0
    unreadable: int = 0


def reencrypt() -> Iterator[Column]:
    """Encrypt anew whatever is under an older key, column by column, and yield what became of each."""
    for model, name in encrypted_columns:
        column = Column(f"{model._meta.verbose_name} {name}")
        for older in _older(model, name):
            _renew(model, name, older, column)
        left = [pk for page in _older(model, name) for pk in page]
        column.left = len(left) - column.unreadable
        yield column


def _older(model: type[Model], name: str) -> Iterator[list[Any]]:
    """Yield the ids of rows whose text the newest key does not decrypt, by pages of all rows that hold one."""
    rows = model._base_manager.exclude(**{name: ""}).order_by("pk").values_list("pk", name)
    page = list(rows[:ROWS_AT_ONCE])
    while page:
        yield [pk for pk, encrypted in page if not is_newest(encrypted)]
        page = list(rows.filter(pk__gt=page[-1][0])[:ROWS_AT_ONCE])


@transaction.atomic
def _renew(model: type[Model], name: str, ids: list[Any], column: Column) -> None:
    rows = model._base_manager.filter(pk__in=ids).exclude(**{name: ""})
    for pk, encrypted in rows.select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", name):
        try:
            rows.filter(pk=pk).update(**{name: renew(encrypted)})
            column.renewed += 1
        except CannotDecrypt:
            column.unreadable += 1
