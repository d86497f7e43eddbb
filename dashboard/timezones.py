"""The time zones that forms offer."""

from functools import cache
from zoneinfo import available_timezones


@cache
def timezones() -> list[tuple[str, str]]:
    """Return the time zones as options of a select. Listing them reads hundreds of files, so it is done once."""
    return [(name, name) for name in sorted(available_timezones())]
