"""Files of geofences, sent and fetched."""

import json
from typing import Any

from rest_framework.test import APIClient

from tests.support.cast import Actor
from tests.support.fences import POLYGON, URL

IMPORT, EXPORT = f"{URL}/import", f"{URL}/export"
GEOJSON, KML, GPX = "application/geo+json", "application/vnd.google-earth.kml+xml", "application/gpx+xml"
SQUARE = [[8.5, 47.3], [8.6, 47.3], [8.6, 47.4], [8.5, 47.4], [8.5, 47.3]]


def feature(name: Any = "Yard", geometry: Any = POLYGON, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"name": name, **properties}}


class RawJson(str):
    """A feature as it stands in a file, be it JSON or not."""


def collection(*features: Any) -> bytes:
    inner = ", ".join(one if isinstance(one, RawJson) else json.dumps(one) for one in features)
    return f'{{"type": "FeatureCollection", "features": [{inner}]}}'.encode()


def kml(*placemarks: str) -> bytes:
    inner = "".join(f"<Placemark>{placemark}</Placemark>" for placemark in placemarks)
    return f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Folder>{inner}</Folder></Document></kml>'.encode()


def gpx(inner: str) -> bytes:
    return f'<gpx version="1.1" creator="t" xmlns="http://www.topografix.com/GPX/1/1">{inner}</gpx>'.encode()


def send(client: APIClient, body: bytes, content_type: str = GEOJSON, **query: Any) -> Any:
    address = IMPORT + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")
    return client.generic("POST", address, body, content_type=content_type)


def export(client: APIClient, **query: Any) -> bytes:
    answer = client.get(EXPORT, query)
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def only_fence(actor: Actor) -> dict[str, Any]:
    (fence,) = actor.client.get(URL).json()["geofences"]
    return fence


def counts(answer: Any) -> tuple[int, int, int, int]:
    body = answer.json()
    return tuple(body[name] for name in ("features", "created", "duplicates", "refused"))
