"""Geofences: the list with its map, one fence, and what holds a point. What changes a fence is in
geofence_changes.py.
"""

import json
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import ValidationError

from dashboard.fence_forms import read_number
from dashboard.pages import Form, Page, form_of, validated
from geofences.browsing import (
    BrowseSerializer,
    ListedFence,
    area_square_meters,
    browse,
    get_fence,
    outlines,
    shape_in_words,
)
from geofences.listings import list_groups, list_tags
from geofences.models import Geofence
from geofences.point_serializers import TestPointSerializer
from geofences.points import describe, test_point
from spatialflow.api import read_id

PLACE = "/geofences"
READ, WRITE = "geofences:read", "geofences:write"
STATE_NAMES = {"active": "Active", "archived": "Archived", "deleted": "Deleted"}
MOST_OFFERED = 200  # groups and tags that a field suggests
MOST_SHOWN = 100  # fences that hold a point


def on_a_map(request: HttpRequest) -> dict[str, Any]:
    """Return what every page with a map needs."""
    return {
        "tiles": settings.MAP_TILE_URL,
        "attribution": settings.MAP_TILE_ATTRIBUTION,
        "may_write": WRITE in request.auth.scopes,
    }


def groups_and_tags(request: HttpRequest) -> dict[str, Any]:
    """Return the names that fields for a group and for tags suggest. Two queries."""
    groups = list_groups(request.auth.workspace_id)["groups"]
    tags = list_tags(request.auth.workspace_id)["tags"]
    return {
        "groups": [group["group_name"] for group in groups[:MOST_OFFERED]],
        "tags": [tag["name"] for tag in tags[:MOST_OFFERED]],
    }


def newest_fences(request: HttpRequest) -> list[ListedFence]:
    """Return what a map without a list begins with: the newest active fences of the workspace. One query."""
    return browse(request.auth.workspace_id, validated(BrowseSerializer, {})).fences


class GeofencesPage(Page):
    """List the workspace's fences beside a map of them: by state, group, tag and name, newest first."""

    scopes = {"GET": READ}
    template = "dashboard/geofences/list.html"
    title = "Geofences"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        wanted = validated(BrowseSerializer, request.GET)
        found = browse(request.auth.workspace_id, wanted)
        filters = {name: wanted[name] for name in ("group", "tag", "search") if wanted[name]}
        here = {"state": wanted["state"], **filters}
        tabs = [
            (f"{PLACE}?{urlencode({'state': state, **filters})}", name, found.totals[state], state == wanted["state"])
            for state, name in STATE_NAMES.items()
        ]
        return {
            **on_a_map(request),
            **groups_and_tags(request),
            "filter": Form(wanted),
            "filters": filters,
            "state": wanted["state"],
            "tabs": tabs,
            "list": found,
            "undrawn": sum(fence.geometry is None for fence in found.fences),
            "is_first": wanted["after"] is None,
            "first": f"{PLACE}?{urlencode(here)}",
            "following": f"{PLACE}?{urlencode({**here, 'after': found.following})}" if found.following else None,
            "has_none": not any(found.totals.values()),
        }


class GeofencePage(Page):
    """One fence: where it is, what is known of it, and what can be done with it."""

    scopes = {"GET": READ}
    template = "dashboard/geofences/detail.html"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        fence = get_fence(request.auth.workspace_id, read_id(kwargs["geofence_id"]))
        return {
            **on_a_map(request),
            "title": fence.name,
            "fence": fence,
            "state": state_of(fence),
            "geometry": json.dumps(fence.geometry),
            "metadata": json.dumps(fence.metadata, indent=2, ensure_ascii=False) if fence.metadata else "",
            "shape_in_words": shape_in_words(fence.geometry_type, fence.radius_meters, bytes(fence.shape)),
            "area": area_square_meters(fence),
        }


def state_of(fence: Geofence) -> str:
    if not fence.is_active:
        return "deleted"
    return "archived" if fence.archived else "active"


class PointTestPage(Page):
    """Say which active fences hold a point, nearest centre first. The point stands in the address, so that a result can
    be shown to somebody."""

    scopes = {"GET": READ}
    template = "dashboard/geofences/test_point.html"
    title = "Test a point"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not {"lat", "lng"} & request.GET.keys():
            return self.show(request)
        try:
            return self.show(request, Form(request.GET), tested=self._test(request))
        except ValidationError as refusal:
            form, status = form_of(request.GET, refusal)
            return self.show(request, form, status)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        # htmx takes nothing but the result out of the page: its map is there already.
        newest = [] if "HX-Request" in request.headers else newest_fences(request)
        return {**on_a_map(request), "newest": newest, **kwargs}

    def _test(self, request: HttpRequest) -> dict[str, Any]:
        typed = {name: request.GET.get(name, "") for name in ("lat", "lng")}
        numbers = {name: read_number(text) for name, text in typed.items()}
        point = {name: typed[name] if number is None else number for name, number in numbers.items()}
        position = validated(TestPointSerializer, point)["position"]
        workspace_id = request.auth.workspace_id
        answer = describe(position, test_point(workspace_id, position, None, None), None)
        holding = answer["matched_geofences"][:MOST_SHOWN]
        drawn = outlines(workspace_id, [fence["geofence_id"] for fence in holding])
        return {
            "lat": position.latitude,
            "lng": position.longitude,
            "holding": [{**fence, "geometry": drawn.get(fence["geofence_id"])} for fence in holding],
            "count": answer["inside_geofences"],
            "total": answer["total_geofences"],
        }
