"""Django's `migrate`, without the timeout that settings.py gives every statement: an index may take its time."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with connections[options["database"]].cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            super().handle(*args, **options)
            cursor.execute("RESET statement_timeout")
