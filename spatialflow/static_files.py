"""Static files that browsers keep for a year: each is asked for with a hash of its content in its address, so that a
changed file is another address. Nothing has to be collected for it.
"""

import hashlib
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage


class ContentAddressedStorage(StaticFilesStorage):
    """Name static files by path and content."""

    def url(self, name: str) -> str:
        """Return the address of a file. Raises ValueError where there is none: a page that refers to nothing."""
        return f"{super().url(name)}?v={content_hash(name)}"


@cache
def content_hash(name: str) -> str:
    """Return the first 12 digits of the SHA-256 of a file that Django's finders know; read once a process."""
    found = finders.find(name)
    if found is None:
        raise ValueError(f"There is no static file {name}.")
    return hashlib.sha256(Path(found).read_bytes()).hexdigest()[:12]
