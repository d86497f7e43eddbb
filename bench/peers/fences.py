"""What every peer holds: the page of geofences that the service is given, and the people's password."""

PASSWORD = "correct horse battery staple"  # noqa: S105 - of people who live for two minutes


def _fence(number: int) -> dict[str, object]:
    west, south = 8.0 + number / 10, 47.0
    ring = [[west, south], [west + 0.05, south], [west + 0.05, south + 0.05], [west, south + 0.05], [west, south]]
    return {"name": f"Depot {number}", "geometry": {"type": "Polygon", "coordinates": [ring]}}


FENCES = [_fence(number) for number in range(20)]
