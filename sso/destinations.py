"""Where a browser may be sent when a round trip ends: pages and apps of ours, by an allowlist, and what is told there.

No token ever stands in such an address: a login code does, which is worth nothing without its verifier.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from django.conf import settings

from accounts.tokens import TokenPair
from spatialflow.errors import ApiError

MAX_LENGTH = 500  # of the whole address: what the row of a round trip holds
# One slash first, and never two in a row: browsers read //host, /\host and the like as another site. What is not
# printable ASCII, and backslashes, browsers repair in ways of their own.
PATH = re.compile(r"(?:/(?!/)[A-Za-z0-9\-._~!$&'()*+,;=:@%]*)+(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?")
OURS = {"code", "state", "error", "reference", "attempt"}
DEEPLINK = re.compile(r"(spatialflow(?:dev)?)://[A-Za-z0-9\-._~/]*(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?")
DEV_SCHEME = "spatialflowdev"


# Pages of the dashboard, where sign-ins in a browser begin and end.
BEGIN_BY_WORKSPACE = "/sign-in/by/"
ARRIVED_UNASKED = "/signed-in/unasked"
TESTED = "/settings/sso/tested"  # leads on to what came of an owner's test


@dataclass(frozen=True)
class Arrival:
    """Where a browser goes at the end, and what it keeps: the refresh token of a pair, or a verifier."""

    location: str
    pair: TokenPair | None = None
    verifier: str = ""


class InvalidDestination(ApiError):
    default_detail = (
        "next must be a path of this service, such as /geofences, or start with an origin that it is configured for; "
        "the whole address at most 500 characters."
    )
    default_code = "invalid_next"


class InvalidDeeplink(ApiError):
    default_detail = "return must be an address of the app, such as spatialflow://auth/callback, without a fragment."
    default_code = "invalid_return"


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
    destination = (origin or settings.PUBLIC_URL) + text
    if not PATH.fullmatch(text) or len(destination) > MAX_LENGTH:
        raise InvalidDestination()
    return destination


def own_page(destination: str) -> str:
    """Return the path of an address that `read_destination` has returned, or nothing where it is of another origin or
    no page.
    """
    path = destination.removeprefix(settings.PUBLIC_URL)
    return path if path.startswith("/") and not path.startswith("/api/") else ""


def read_deeplink(text: str) -> str:
    """Return the address of an app that `return` means. Raises `InvalidDeeplink` for any scheme but ours; the one for
    development counts where SSO_ALLOW_DEV_SCHEME is set.
    """
    named = DEEPLINK.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if named is None or (named.group(1) == DEV_SCHEME and not settings.SSO_ALLOW_DEV_SCHEME):
        raise InvalidDeeplink()
    return text


def told(destination: str, **news: str) -> str:
    """Return the destination with `news` in its query, where nothing else stands under the names that we use."""
    address, _, query = destination.partition("?")  # none has a fragment, and apps' addresses may lack a host
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in OURS]
    query = urlencode([*kept, *((name, value) for name, value in news.items() if value)])
    return f"{address}?{query}" if query else address


def _origins() -> list[str]:
    return [settings.PUBLIC_URL, *settings.CORS_ALLOWED_ORIGINS]
