"""The geofences of the demo workspace: yards, quays and a ferry's way around Hamburg's harbour."""

from typing import Any

from accounts.models import User, Workspace
from geofences.serializers import CreateGeofenceSerializer
from geofences.writes import create_geofence, set_archived

DEPOT = [[9.9205, 53.5388], [9.9262, 53.5396], [9.9281, 53.5371], [9.9249, 53.5352], [9.9203, 53.5361]]
QUAY = [[9.9312, 53.5432], [9.9405, 53.5441], [9.9411, 53.5424], [9.9318, 53.5414]]
CITY = [[9.967, 53.556], [9.993, 53.5585], [10.007, 53.551], [10.0035, 53.5445], [9.986, 53.543], [9.970, 53.5445]]
YARD = [[9.9492, 53.5289], [9.9571, 53.5313], [9.9594, 53.5266], [9.9507, 53.5247]]
BASIN = [[9.9517, 53.5283], [9.9547, 53.5291], [9.9554, 53.5272], [9.9524, 53.5266]]
PARTS = [
    [[9.9402, 53.5351], [9.9441, 53.5356], [9.9437, 53.5338]],
    [[9.9362, 53.5322], [9.9388, 53.5333], [9.9391, 53.5312]],
]

FENCES: list[tuple[str, str | None, list[str], dict[str, Any]]] = [
    ("Old customs shed", None, [], {"type": "Circle", "center": [9.9602, 53.5391], "radius_meters": 180}),
    ("Inner city", "Delivery zones", ["no trucks by day"], {"type": "Polygon", "coordinates": [CITY]}),
    ("Depot Waltershof", "Yards", ["night", "gate 4"], {"type": "Polygon", "coordinates": [DEPOT]}),
    ("Container yard", "Yards", ["night"], {"type": "Polygon", "coordinates": [YARD, BASIN]}),
    ("Quay 7", "Quays", [], {"type": "Polygon", "coordinates": [QUAY]}),
    ("Fuel stops", None, ["fuel"], {"type": "MultiPolygon", "coordinates": [[part] for part in PARTS]}),
    (
        "Customer: Nordkai",
        "Delivery zones",
        ["ring first"],
        {"type": "Circle", "center": [9.9758, 53.5402], "radius_meters": 350},
    ),
]


def draw_harbour(workspace: Workspace, user: User) -> None:
    """Make the fences, the oldest one archived."""
    for name, group, tags, geometry in FENCES:
        rings = geometry.get("coordinates", [])
        closed = [[*ring, ring[0]] for ring in rings] if geometry["type"] == "Polygon" else rings
        if geometry["type"] == "MultiPolygon":
            closed = [[[*ring, ring[0]] for ring in part] for part in rings]
        body = {**geometry, "coordinates": closed} if rings else geometry
        reader = CreateGeofenceSerializer(data={"name": name, "group_name": group, "tags": tags, "geometry": body})
        reader.is_valid(raise_exception=True)
        made = create_geofence(workspace.id, user.id, reader.validated_data)
        if name == FENCES[0][0]:
            set_archived(workspace.id, made, archived=True)
