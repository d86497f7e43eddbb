"""Statements of our own over several tables, with their rows as model instances: for what is asked so often that
composing the statement anew costs more than running it.
"""

from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import Model


def find_joined(
    statement: str, parameters: Mapping[str, Any], models: tuple[tuple[str, type[Model]], ...]
) -> list[Any] | None:
    """Return one instance for each alias and model, from the first row of the statement, and None for one without a
    primary key, as an outer join gives; None without a row.

    The statement says where its columns go by `{columns}`. They are named one by one, so that a prepared statement goes
    on when a migration adds one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_with_columns(statement, models), parameters)
        row = cursor.fetchone()
    if row is None:
        return None
    values = iter(row)
    return [_instance(model, names, list(islice(values, len(names)))) for model, names in _models_and_fields(models)]


def _instance(model: type[Model], names: list[str], values: list[Any]) -> Model | None:
    is_there = values[names.index(model._meta.pk.attname)] is not None
    return model.from_db(connection.alias, names, values) if is_there else None


@cache
def _with_columns(statement: str, models: tuple[tuple[str, type[Model]], ...]) -> str:
    columns = [f"{alias}.{field.column}" for alias, model in models for field in model._meta.concrete_fields]
    return statement.format(columns=", ".join(columns))


@cache
def _models_and_fields(models: tuple[tuple[str, type[Model]], ...]) -> list[tuple[type[Model], list[str]]]:
    return [(model, [field.attname for field in model._meta.concrete_fields]) for _, model in models]
