"""Every address of the API and every page, read from the URL map, so that what is new is tested by existing."""

import re
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

EXAMPLE_ID = "6f2c1b1e-8f4e-4b0c-9a52-0d7d4b1f9a11"


def api_patterns() -> Iterator[tuple[str, URLPattern]]:
    """Yield each route under /api/v1/ with its pattern."""
    yield from ((route, pattern) for route, pattern in _patterns() if route.startswith("/api/v1/"))


def page_patterns() -> Iterator[tuple[str, URLPattern]]:
    """Yield the route of each page of the dashboard with its pattern; the operator's are not of it."""
    others = ("/api/", "/.well-known/", "/operator")
    yield from ((route, pattern) for route, pattern in _patterns() if not route.startswith(others))


def _patterns() -> Iterator[tuple[str, URLPattern]]:
    yield from _walk("/", get_resolver().url_patterns)


def _walk(prefix: str, patterns: list[URLPattern | URLResolver]) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(route, pattern.url_patterns)
        else:
            yield route, pattern


def api_paths(value: str = EXAMPLE_ID) -> list[str]:
    """Return every path of the API with its variable parts filled in."""
    return [re.sub(r"<[^>]+>", value, route) for route, _ in api_patterns()]
