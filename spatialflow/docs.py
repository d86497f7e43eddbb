"""The API's description and the page that shows it; everything is served from here, nothing from the internet."""

from functools import cache
from typing import Any

import orjson
from django.http import HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from spatialflow.api import PublicAPIView, RawJSONResponse


@cache
def description() -> bytes:
    """Return the OpenAPI document as JSON; it is the same for everybody, and made once a process."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return orjson.dumps(document)


@extend_schema(exclude=True)
class DescriptionView(PublicAPIView):
    """The OpenAPI description of this API."""

    rate_limit_exempt = True

    def get(self, request: Request) -> RawJSONResponse:
        return RawJSONResponse(description())


@extend_schema(exclude=True)
class DocsView(PublicAPIView):
    """The description as an interactive page."""

    rate_limit_exempt = True

    def get(self, request: Request) -> HttpResponse:
        return render(request._request, "api_docs.html")
