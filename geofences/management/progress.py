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
            rate = count / max(now - self.began, EVERY_SECONDS)
            self.output.write(f"\r{self._bar(done)}{count:,} {unit}, {rate:,.0f}/s")
            self.output.flush()

    def _bar(self, done: int) -> str:
        if not self.total:  # nobody knows how long a pipe is
            return ""
        share = min(1.0, done / self.total)
        return f"[{'#' * round(share * WIDTH):<{WIDTH}}] {share:4.0%}  "

    def end(self) -> None:
        """Wipe the bar away."""
        if self.is_shown:
            self.output.write("\r\033[K")
