"""How pages write days and times: in the zone and the formats of whoever is signed in, in UTC for anybody else. Days
that somebody chooses in a form begin and end in that zone, too.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.dateparse import parse_date

from accounts.principal import Principal

DAY_FORMATS = {"YYYY-MM-DD": "%Y-%m-%d", "DD.MM.YYYY": "%d.%m.%Y", "DD/MM/YYYY": "%d/%m/%Y", "MM/DD/YYYY": "%m/%d/%Y"}


@dataclass(frozen=True)
class Moments:
    """The zone and the formats that one person reads days and times in."""

    zone: tzinfo
    day_format: str
    has_half_days: bool

    @property
    def zone_name(self) -> str:
        """What the zone is called: "Europe/Zurich"."""
        return str(self.zone)

    def here(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone)

    def day(self, moment: datetime) -> str:
        """Return the day of a moment: "2026-11-25"."""
        return self.here(moment).strftime(self.day_format)

    def clock(self, moment: datetime, seconds: bool = False) -> str:
        """Return the time of day: "17:30", "5:30 pm"."""
        here, tail = self.here(moment), ":%S" if seconds else ""
        if self.has_half_days:
            return f"{here.hour % 12 or 12}{here.strftime(f':%M{tail}')} {'pm' if here.hour >= 12 else 'am'}"
        return here.strftime(f"%H:%M{tail}")

    def exact(self, moment: datetime, seconds: bool = False) -> str:
        """Return day, time and zone: "2026-11-25, 17:30 CET". A zone without a short name stands by its distance."""
        name = self.here(moment).tzname() or ""
        return f"{self.day(moment)}, {self.clock(moment, seconds)} {name if name.isalpha() else f'UTC{name}'}"

    def beginning(self, chosen: str) -> str:
        """Return when a day that a form names begins, as the API takes it; what is no day as it is."""
        return self._bound(chosen, timedelta())

    def end(self, chosen: str) -> str:
        """Return when the next day begins, as the API takes it; what is no day as it is."""
        return self._bound(chosen, timedelta(days=1))

    def last_second(self, chosen: str) -> str:
        """Return the last second of a day that a form names, as the API takes it; what is no day as it is."""
        return self._bound(chosen, timedelta(days=1, seconds=-1))

    def _bound(self, chosen: str, later: timedelta) -> str:
        try:
            day = parse_date(chosen) if len(chosen) == len("2025-01-31") else None
            return (datetime.combine(day, time(), self.zone) + later).isoformat() if day else chosen
        except (ValueError, OverflowError):
            return chosen  # the API's serializer says what is wrong with it


def moments_of(principal: Principal | None) -> Moments:
    """Return how somebody reads days and times; None is somebody who is not signed in."""
    if principal is None:
        return Moments(UTC, DAY_FORMATS["YYYY-MM-DD"], False)
    chosen = DAY_FORMATS.get(principal.date_format or "", DAY_FORMATS["YYYY-MM-DD"])
    return Moments(_zone(principal.timezone), chosen, principal.time_format == "12h")


def _zone(name: str) -> tzinfo:
    """Return a time zone; UTC for a name that this machine's list of zones does not hold any more."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
