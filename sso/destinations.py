"""Where a browser may be sent when a round trip ends: pages of ours, by an allowlist, and what is told there.

No token ever stands in such an address: a login code does, which is worth nothing without its verifier.
"""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.conf import settings

from spatialflow.errors import ApiError

MAX_LENGTH = 500
# One slash first, and never two in a row: browsers read //host, /\host and the like as another site. What is not
# printable ASCII, and backslashes, browsers repair in ways of their own.
PATH = re.compile(r"(?:/(?!/)[A-Za-z0-9\-._~!$&'()*+,;=:@%]*)+(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?")
OURS = {"code", "state", "error"}


class InvalidDestination(ApiError):
    default_detail = (
        "next must be a path of this service, such as /welcome, or start with an origin that it is configured for."
    )
    default_code = "invalid_next"


def read_destination(text: str) -> str:
    """Return the address that `next` means; empty is the front page. Raises `InvalidDestination` for any other site.

    The whole origin is compared with the configured ones, so another scheme, port, letter case or a name before an @
    is simply another origin.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidDestination()
    if not text.startswith("/"):
        origin = next((origin for origin in _origins() if text == origin or text.startswith(f"{origin}/")), None)
        if text and origin is None:
            raise InvalidDestination()
        text = text.removeprefix(origin or "") or "/"
    else:
        origin = None
    if not PATH.fullmatch(text):
        raise InvalidDestination()
    return (origin or settings.PUBLIC_URL) + text


def told(destination: str, **news: str) -> str:
    """Return the destination with `news` in its query, where nothing else stands under the names that we use."""
    parts = urlsplit(destination)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in OURS]
    query = urlencode([*kept, *((name, value) for name, value in news.items() if value)])
    return urlunsplit(parts._replace(query=query))


def _origins() -> list[str]:
    return [settings.PUBLIC_URL, *settings.CORS_ALLOWED_ORIGINS]
