"""What an error of the database quotes of the rows and values that it failed on, and how that is kept out of logs.

Postgres names them in its details (`Key (email)=(...) already exists`, `Failing row contains (...)`), in the context of
a statement, and of malformed values in its first line, too. Whatever wraps such an error repeats the text.
"""

import re
from collections.abc import Iterable, Iterator

import psycopg


def without_rows(text: str, errors: Iterable[BaseException]) -> str:
    """Return `text` with what it quotes of these errors, and of all that they came from, in words without values."""
    for error in _with_causes(errors):
        if isinstance(error, psycopg.Error) and (quoted := str(error)):
            # The margin of a group of exceptions may stand at the beginning of each line.
            lines = r"\n[ |]*".join(map(re.escape, quoted.split("\n")))
            text = _told(error).join(re.split(lines, text))
    return text


def _told(error: psycopg.Error) -> str:
    """Return the first line of what Postgres said, unless it may quote a value, and where it happened."""
    said = error.diag
    if said.sqlstate is None and not isinstance(error, psycopg.DataError):
        return str(error)  # the client's own words, of a connection or of a statement's form
    first_line = "not quoted" if isinstance(error, psycopg.DataError) else said.message_primary or ""
    where = {
        "SQLSTATE": said.sqlstate,
        "table": said.table_name,
        "column": said.column_name,
        "constraint": said.constraint_name,
    }
    return f"{first_line} ({', '.join(f'{name} {value}' for name, value in where.items() if value)})"


def _with_causes(errors: Iterable[BaseException]) -> Iterator[BaseException]:
    """Yield each of the errors and, once, each that it came from or holds, printed or not."""
    waiting, seen = list(errors), set()
    while waiting:
        error = waiting.pop()
        if id(error) not in seen:
            seen.add(id(error))
            yield error
            behind = (error.__cause__, error.__context__, *getattr(error, "exceptions", ()))
            waiting += [more for more in behind if isinstance(more, BaseException)]
