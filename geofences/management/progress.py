"""A bar that shows people at a terminal how far a command is."""

import time
from typing import TextIO

WIDTH = 30
EVERY_SECONDS = 0.1


class Progress:
    """Draws a bar of `total` steps, and nothing where nobody looks on, as in a pipe or a log."""

    def __init__(self, output: TextIO, total: int) -> None:
        self.output, self.total = output, total
        self.began = time.monotonic()
        self.drawn_at = 0.0
        self.is_shown = output.isatty()

    def show(self, done: int, unit: str, count: int) -> None:
        """Draw the bar, at most ten times a second; beside it stands a count of what was dealt with."""
        now = time.monotonic()
        if self.is_shown and now - self.drawn_at >= EVERY_SECONDS:
            self.drawn_at = now
            share = min(1.0, done / self.total) if self.total else 0.0
            bar = "#" * round(share * WIDTH)
            rate = count / max(now - self.began, EVERY_SECONDS)
            self.output.write(f"\r[{bar:<{WIDTH}}] {share:4.0%}  {count:,} {unit}, {rate:,.0f}/s")
            self.output.flush()

    def end(self) -> None:
        """Wipe the bar away."""
        if self.is_shown:
            self.output.write("\r\033[K")
