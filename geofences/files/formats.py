"""The formats by name, how each is told from the others, and what each is called on the web."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from geofences.files import geojson, gpx, kml
from geofences.files.stream import BoundedStream, Feature


@dataclass(frozen=True)
class Format:
    """How a kind of file is read and written. Between head and tail stand the fences, with the separator between."""

    media_type: str
    read: Callable[[BoundedStream], Iterator[Feature]]
    write: Callable[[dict[str, Any], dict[str, Any]], bytes]
    head: bytes
    tail: bytes
    separator: bytes = b"\n"


FORMATS = {
    "geojson": Format(
        "application/geo+json", geojson.read, geojson.write, geojson.HEAD + b"\n", geojson.TAIL, separator=b",\n"
    ),
    "kml": Format("application/vnd.google-earth.kml+xml", kml.read, kml.write, kml.HEAD + b"\n", kml.TAIL),
    "gpx": Format("application/gpx+xml", gpx.read, gpx.write, gpx.HEAD + b"\n", gpx.TAIL),
}
BY_MEDIA_TYPE = {known.media_type: name for name, known in FORMATS.items()} | {"application/json": "geojson"}
