"""Statements of our own over several tables, with their rows as model instances: for what is asked so often that
composing the statement anew costs more than running it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Model

Joined = tuple[tuple[str, type[Model]], ...]  # the alias and the model of each table


@dataclass(frozen=True, slots=True)
class JoinedRow:
    """One row; an instance costs nothing before it is asked for."""

    values: tuple[Any, ...]
    models: Joined

    def get(self, alias: str) -> Any:
        """Return the instance of the table with this alias, or None where an outer join found none."""
        model, names, begin = _places(self.models)[alias]
        values = self.values[begin : begin + len(names)]
        is_there = values[names.index(model._meta.pk.attname)] is not None
        return model.from_db(connection.alias, names, values) if is_there else None


def find_joined(statement: str, parameters: Mapping[str, Any], models: Joined) -> JoinedRow | None:
    """Return the first row of the statement, or None.

    The statement says where its columns go by `{columns}`. They are named one by one, so that a prepared statement goes
    on when a migration adds one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_with_columns(statement, models), parameters)
        row = cursor.fetchone()
    return row and JoinedRow(row, models)


@cache
def _with_columns(statement: str, models: Joined) -> str:
    columns = [f"{alias}.{field.column}" for alias, model in models for field in model._meta.concrete_fields]
    return statement.format(columns=", ".join(columns))


@cache
def _places(models: Joined) -> dict[str, tuple[type[Model], list[str], int]]:
    """Return for each alias the model, the names of its columns, and at which of the row they begin."""
    places, begin = {}, 0
    for alias, model in models:
        names = [field.attname for field in model._meta.concrete_fields]
        places[alias] = model, names, begin
        begin += len(names)
    return places
