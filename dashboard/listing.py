"""Lists that are searched by words and turned over page by page: what find.html and pager.html need to show them."""

from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

from dashboard.pages import Form

PAGE_LENGTH = 50


def listing(request: HttpRequest, found: QuerySet[Any], search: str, place: str, **kept: str) -> dict[str, Any]:
    """Return the page of what was found that the request asks for, the nearest one for a number that there is not.
    `kept` are the other parameters of the list at `place`. Two queries.
    """
    return {
        "page": Paginator(found, PAGE_LENGTH).get_page(request.GET.get("page")),
        "filter": Form({"search": search}),
        "kept": kept,
        "everything": f"{place}?{urlencode(kept)}" if kept else place,
        "address": f"{place}?{urlencode({**kept, 'search': search})}&page=",
    }
