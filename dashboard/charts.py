"""Bars of requests and refusals, in whole units of an SVG's own, so that a page draws them without any script."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from accounts.usage import HOUR
from apikeys.usage import KeyUsage
from dashboard.moments import Moments

HEIGHT = 100
STEP = 10  # a bar and the gap after it
GAP = 3


@dataclass(frozen=True)
class Span:
    """What happened in an hour or a day: `label` is for people, `began_at` for machines."""

    label: str
    began_at: str
    requests: int
    refusals: int


@dataclass(frozen=True)
class Bar:
    """One span of time: refusals stand on top of the requests that passed."""

    span: Span
    x: int
    good_height: int
    bad_height: int

    width: int = STEP - GAP

    @property
    def good_y(self) -> int:
        return HEIGHT - self.good_height

    @property
    def bad_y(self) -> int:
        return self.good_y - self.bad_height


@dataclass(frozen=True)
class Chart:
    """Bars of equal spans, the last one now."""

    name: str
    title: str
    unit: str
    bars: list[Bar]

    height: int = HEIGHT

    @property
    def width(self) -> int:
        return len(self.bars) * STEP - GAP

    @property
    def highest(self) -> int:
        return max((bar.span.requests + bar.span.refusals for bar in self.bars), default=0)

    @property
    def requests(self) -> int:
        return sum(bar.span.requests for bar in self.bars)

    @property
    def refusals(self) -> int:
        return sum(bar.span.refusals for bar in self.bars)

    @property
    def used_bars(self) -> list[Bar]:
        return [bar for bar in self.bars if bar.span.requests or bar.span.refusals]


def by_hour(usage: KeyUsage, now: datetime, reads: Moments, hours: int = 48) -> Chart:
    """Return the last hours of a key's use; they begin at a minute of the key's own."""
    length = timedelta(seconds=HOUR)
    latest = usage.since + (now - usage.since) // length * length
    starts = [latest - length * ago for ago in reversed(range(hours))]
    requests, refusals = Counter[datetime](), Counter[datetime]()
    for hour in usage.hours:
        start = usage.since + (hour.started_at - usage.since) // length * length
        requests[start] += hour.requests
        refusals[start] += hour.refusals
    spans = [
        Span(f"{reads.here(start):%d %b}, {reads.clock(start)}", start.isoformat(), requests[start], refusals[start])
        for start in starts
    ]
    return Chart("hours", f"Last {hours} hours", "hour", _bars(spans))


def by_day(usage: KeyUsage, now: datetime, reads: Moments, days: int = 30) -> Chart:
    """Return the last days of a key's use, where the person is."""
    today = reads.here(now).date()
    dates = [today - timedelta(days=ago) for ago in reversed(range(days))]
    requests, refusals = Counter[date](), Counter[date]()
    for hour in usage.hours:
        day = reads.here(hour.started_at).date()
        requests[day] += hour.requests
        refusals[day] += hour.refusals
    spans = [Span(f"{day:%d %b}", day.isoformat(), requests[day], refusals[day]) for day in dates]
    return Chart("days", f"Last {days} days", "day", _bars(spans))


def _bars(spans: list[Span]) -> list[Bar]:
    highest = max((span.requests + span.refusals for span in spans), default=0) or 1
    return [
        Bar(span, place * STEP, _share(span.requests, highest), _share(span.refusals, highest))
        for place, span in enumerate(spans)
    ]


def _share(count: int, highest: int) -> int:
    """Return the height of a count; what is not nothing shows."""
    return max(2, count * (HEIGHT - 4) // highest) if count else 0
