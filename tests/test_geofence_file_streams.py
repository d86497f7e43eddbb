"""How a GeoJSON file is cut into features while it is read, compared with reading it whole. No database."""

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.files import geojson
from geofences.files.formats import FORMATS
from geofences.files.stream import CHUNK, MAX_FEATURE_BYTES, TOO_LARGE, BoundedStream

texts = st.text(st.sampled_from('ab"\\\\{}[]:, \u20ac\n'), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
features = st.fixed_dictionaries({"type": st.just("Feature"), "properties": st.dictionaries(texts, values, max_size=3)})
members = st.dictionaries(texts, values, max_size=2)


class Trickle(io.BytesIO):
    """A sender who gives little at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 1_000))


@given(before=members, listed=st.lists(features, max_size=4), after=members, edge=st.integers(0, 400), data=st.data())
def test_each_feature_is_found_wherever_a_chunk_of_the_file_ends(
    before: dict[str, Any], listed: list[Any], after: dict[str, Any], edge: int, data: st.DataObject
) -> None:
    collection = {**before, "features": listed, **after, "type": "FeatureCollection"}
    indent, as_ascii = data.draw(st.sampled_from([None, 1])), data.draw(st.booleans())
    body = json.dumps(collection, indent=indent, ensure_ascii=as_ascii).encode()
    padding = b" " * (CHUNK - min(edge, len(body)))

    found = list(geojson.read(BoundedStream(Trickle(padding + body))))

    assert [feature.problem for feature in found] == [None] * len(listed)
    assert [feature.properties for feature in found] == [feature["properties"] for feature in listed]


MEBIBYTES = 12
HUGE = {
    "geojson": (
        b'{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"note":"',
        b'x\\"',
        b'"}},{"type":"Feature"}]}',
    ),
    "geojson in lists": (b'{"type":"FeatureCollection","features":[{"a":[', b"[[1]],", b'[2]]},{"type":"Feature"}]}'),
    "kml": (b"<kml><Placemark><name>", b"<b>" + b"x" * 2_000 + b"</b>", b"</name></Placemark><Placemark/></kml>"),
    "gpx": (b"<gpx><trk><name>", b"<b>" + b"x" * 2_000 + b"</b>", b"</name></trk><trk/></gpx>"),
}


class Repeating:
    """A file that holds a piece again and again in its middle, made while it is read."""

    def __init__(self, head: bytes, middle: bytes, tail: bytes) -> None:
        piece = middle * (CHUNK // len(middle))
        self.rest = iter([head, *[piece] * (MEBIBYTES * 1024 * 1024 // len(piece)), tail])

    def read(self, size: int, /) -> bytes:
        return next(self.rest, b"")


@pytest.mark.parametrize("name", HUGE)
def test_a_feature_that_is_too_large_is_passed_over_and_not_kept(name: str) -> None:
    tracemalloc.start()
    try:
        found = list(FORMATS[name.partition(" ")[0]].read(BoundedStream(Repeating(*HUGE[name]))))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [feature.problem == TOO_LARGE for feature in found] == [True, False]
    assert most < 5 * MAX_FEATURE_BYTES
