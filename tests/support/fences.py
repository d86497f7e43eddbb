"""Geofences to arrange tests with: geometries, and fences stored by HTTP or as rows."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from geofences.geometry import read_geometry
from geofences.models import Geofence
from tests.support.cast import Actor

URL = "/api/v1/geofences"
POLYGON = {"type": "Polygon", "coordinates": [[[8.5, 47.3], [8.6, 47.3], [8.6, 47.4], [8.5, 47.3]]]}
MULTI_POLYGON = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[8.5, 47.3, 408], [8.6, 47.3, 408], [8.6, 47.4, 409.25], [8.5, 47.3, 408]]],
        [
            [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]],
            [[1, 1], [2, 1], [2, 2], [1, 1]],
        ],
    ],
}
CIRCLE = {"type": "Circle", "center": [8.5417, 47.3769], "radius_meters": 49.5, "bbox": [8.54, 47.37, 8.55, 47.38]}


def store_fence(actor: Actor, name: str = "Depot", geometry: Any = POLYGON, **fields: Any) -> dict[str, Any]:
    answer = actor.client.post(URL, {"name": name, "geometry": geometry, **fields}, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def store_row(actor: Actor, name: str, age: int = 0, **columns: Any) -> Geofence:
    """Return a row made without HTTP, `age` seconds old."""
    polygon = read_geometry(POLYGON)
    defaults = {
        "geometry": polygon.given,
        "geometry_type": "Polygon",
        "shape": polygon.wkb,
        "bounding_box": polygon.bounding_box,
        "geometry_digest": name.encode(),
        "created_at": timezone.now() - timedelta(seconds=age),
    }
    return Geofence.objects.create(workspace=actor.workspace, name=name, **{**defaults, **columns})


def names(answer: Any) -> list[str]:
    return [fence["name"] for fence in answer.json()["geofences"]]
