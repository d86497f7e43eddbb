"""How a GeoJSON file is cut into features while it is read, compared with reading it whole. No database."""

import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from geofences.files import geojson
from geofences.files.stream import CHUNK, BoundedStream

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
