"""GeoJSON (RFC 7946): a FeatureCollection. A circle, which it lacks, is a Point with the property radius_meters.

A file is cut into its features by its brackets, commas and texts alone; what each holds is read like any JSON that
clients send, so what the API takes comes through a file unchanged, and what it refuses is an error of that feature.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Any

import orjson
from rest_framework.exceptions import ParseError

from geofences.files.stream import CHUNK, MAX_FEATURE_BYTES, TOO_LARGE, BoundedStream, Feature, MalformedFile
from geofences.stored_json import quoted
from spatialflow.strict_json import read_strictly

HEAD = b'{"type":"FeatureCollection","features":['
TAIL = b"\n]}\n"
ROOT, FEATURES = 1, 2  # how deep the outermost object lies, and the list in it
MAX_DEPTH = 64  # of what lies outside of the features, and of each of them
TOO_DEEP = f"the feature is nested deeper than {MAX_DEPTH} levels."
TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# Lists of numbers in lists, four deep as a MultiPolygon's are: most of a file, and nothing in them has to be looked at.
NUMBERS = rb"\[[^][{}\"]*+\]"
for _ in range(3):
    NUMBERS = rb"\[(?:[^][{}\"]*+" + NUMBERS + rb")*+[^][{}\"]*+\]"
# Each finds what may be passed over, and behind it a sign. Between features that is any that gives JSON its structure,
# or a whole text; a lone quotation mark begins a text that goes on.
BETWEEN = re.compile(rb'([^][{}:,"]*+)(' + TEXT + rb'|[]\[{}:,"])', re.DOTALL)
# Within a feature only brackets count. A stretch may end where the chunk does, without one.
WITHIN = re.compile(rb'((?:[^][{}"]++|' + TEXT + rb"|" + NUMBERS + rb')*+)([]\[{}"]?)', re.DOTALL)
# In a text that a lone quotation mark began within a feature.
REST_OF_TEXT = re.compile(rb'((?:[^"\\]++|\\.)*+)("?)', re.DOTALL)
CLOSING = {b"{": b"}", b"[": b"]"}


def read(stream: BoundedStream) -> Iterator[Feature]:
    """Yield the features of a FeatureCollection. Raises MalformedFile."""
    splitter = _Splitter()
    for passed, token in _tokens(stream, splitter):
        try:
            item = splitter.take(passed, token)
        except _NotJson as error:
            raise MalformedFile(f"The file is not valid JSON, near byte {stream.position}: {error}.") from None
        if item is not None:
            stream.feature_ends()
            yield Feature(problem=splitter.problem) if splitter.problem else _feature(item)
        elif splitter.is_passing_over:
            stream.feature_is_passed_over()
    _check_collection(bytes(splitter.outside), is_whole=not splitter.due)


def _tokens(stream: BoundedStream, splitter: "_Splitter") -> Iterator[tuple[bytes, bytes]]:
    """Yield each sign that the splitter has to see with what stands before it; at last the rest, with an empty one."""
    pending, piece = b"", _read_chunk(stream).removeprefix(codecs.BOM_UTF8)
    is_in_text = False
    while piece:
        pending += piece
        end = 0
        while True:
            pattern = REST_OF_TEXT if is_in_text else WITHIN if splitter.is_within_item else BETWEEN
            found = pattern.match(pending, end)
            if not found or found.end() == end or (found[2] == b'"' and pattern is BETWEEN):
                break
            end = found.end()
            is_in_text = is_in_text != (found[2] == b'"')
            yield found[1], found[2]
        pending = pending[end:]
        piece = _read_chunk(stream)
    yield pending, b""


def _read_chunk(stream: BoundedStream) -> bytes:
    """Return a chunk, shorter only at the end, so that no text is begun anew for each byte of a slow sender."""
    chunk = b""
    while len(chunk) < CHUNK and (piece := stream.read()):
        chunk += piece
    return chunk


class _NotJson(Exception):
    """The file has not the structure of JSON; the text is the reason."""


class _Splitter:
    """Takes the signs of a file and gives the items of the member `features` of its outermost object, as bytes.

    `outside` is the file without these items, `due` the brackets that have to be closed. Of an item that is too large
    nothing is kept but its brackets; `problem` says what is wrong with the item that was given last. All of it is
    bounded: by the stream, which refuses what does not end unless it is passed over, and by MAX_DEPTH outside of items.
    """

    def __init__(self) -> None:
        self.outside, self.item, self.due = bytearray(), bytearray(), bytearray()
        self.member = ""
        self.problem: str | None = None
        self.item_depth = 0
        self.is_item_too_large = False
        self.expects_member = self.is_in_list = self.had_list = self.had_item = False

    @property
    def is_within_item(self) -> bool:
        return self.is_in_list and len(self.due) > FEATURES

    @property
    def is_passing_over(self) -> bool:
        """Return whether the item may be as long as it likes, as long as its brackets do not become too many."""
        return self.is_item_too_large and len(self.due) < MAX_FEATURE_BYTES

    def take(self, passed: bytes, token: bytes) -> bytes | None:
        """Return the item that this token ends, if it does. Raises _NotJson, MalformedFile."""
        if self.is_in_list and len(self.due) == FEATURES and token in (b",", b"]"):
            return self._end_item(passed, token)
        part = self.item if self.is_in_list else self.outside
        part += passed
        if token[:1] in (b"{", b"[", b'"') and len(self.due) == FEATURES and self.is_in_list and self._has_item():
            raise _NotJson("a comma is missing between two features")
        part += token
        if self.is_in_list and len(self.item) > MAX_FEATURE_BYTES:
            self.is_item_too_large = True
            self.item.clear()
        if token in CLOSING:
            self._open(token)
        elif token in (b"}", b"]") and (not self.due or self.due.pop() != token[0]):
            raise _NotJson("a bracket is closed that is not open")
        elif len(self.due) == ROOT:
            self._note_member(token)
        return None

    def _has_item(self) -> bool:
        return self.is_item_too_large or bool(self.item.strip())

    def _end_item(self, passed: bytes, token: bytes) -> bytes | None:
        self.item += passed
        has_item, item = self._has_item(), bytes(self.item).strip()
        self.item.clear()
        self.problem = TOO_LARGE if self.is_item_too_large else TOO_DEEP if self.item_depth > MAX_DEPTH else None
        self.is_item_too_large, self.item_depth = False, 0
        if token == b"]":
            self.is_in_list = False
            self.due.pop()
            self.outside += token
        if not has_item and (token == b"," or self.had_item):
            raise _NotJson("a feature is missing beside a comma")
        self.had_item = True
        return item if has_item else None

    def _open(self, token: bytes) -> None:
        if not self.due and (token == b"[" or self.outside.strip() != b"{"):
            raise MalformedFile("The file is not GeoJSON: it must be one object, a FeatureCollection.")
        self.is_in_list = self.is_in_list or (len(self.due) == ROOT and token == b"[" and self.member == "features")
        self.due += CLOSING[token]
        if self.is_in_list:
            self.item_depth = max(self.item_depth, len(self.due) - FEATURES)
        elif len(self.due) > MAX_DEPTH:
            raise MalformedFile(f"The file is nested deeper than {MAX_DEPTH} levels.")
        self.expects_member = len(self.due) == ROOT

    def _note_member(self, token: bytes) -> None:
        """Keep the name of the outermost object's member whose value comes next."""
        if token[:1] == b'"' and self.expects_member:
            self.member = _text(token)
            if self.member == "features" and self.had_list:
                raise MalformedFile('The file has two members "features".')
            self.had_list = self.had_list or self.member == "features"
        self.expects_member = token == b","


def _text(token: bytes) -> str:
    try:
        text: str = orjson.loads(token)
    except orjson.JSONDecodeError as error:
        raise _NotJson(error.msg) from None
    return text


def _check_collection(outside: bytes, *, is_whole: bool) -> None:
    """Raise MalformedFile unless a file that is this without its features is a FeatureCollection."""
    if not is_whole or not outside.strip():
        raise MalformedFile("The file is not valid JSON: it ends before it is complete.")
    try:
        root = orjson.loads(outside)
    except orjson.JSONDecodeError as error:
        raise MalformedFile(f"The file is not valid JSON in UTF-8, outside of its features: {error.msg}.") from None
    kind = root.get("type") if isinstance(root, dict) else None
    if kind != "FeatureCollection":
        found = f"has the type {quoted(kind)}" if isinstance(kind, str) else "has no type"
        raise MalformedFile(f"The file {found}; it must be a FeatureCollection, with a list of features.")
    if not isinstance(root.get("features"), list):
        raise MalformedFile('The file has no features: the member "features" must be a list.')


def _feature(text: bytes) -> Feature:
    try:
        item = read_strictly(text, "the feature")
    except ParseError as error:
        return Feature(problem=_find_syntax_error(text) or str(error.detail))
    if not isinstance(item, dict) or item.get("type") != "Feature":
        return Feature(problem='a feature is an object with the type "Feature".')
    properties = item.get("properties")
    if properties is not None and not isinstance(properties, dict):
        return Feature(problem="properties must be an object or null.")
    return Feature(item.get("geometry"), properties or {})


def _find_syntax_error(text: bytes) -> str | None:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"the feature is not valid JSON in UTF-8: {error.msg}, {error.pos} characters from its beginning."
    return None


def write(fence: dict[str, Any], properties: dict[str, Any]) -> bytes:
    """Return a fence as a Feature; `properties` are what there is to say beside name and geometry."""
    geometry = fence["geometry"]
    if geometry["type"] == "Circle":
        properties = {"radius_meters": geometry["radius_meters"], **properties}
        bounds = {"bbox": geometry["bbox"]} if "bbox" in geometry else {}
        geometry = {"type": "Point", "coordinates": geometry["center"], **bounds}
    return orjson.dumps(
        {
            "type": "Feature",
            "id": fence["id"],
            "geometry": geometry,
            "properties": {"name": fence["name"], **properties},
        }
    )
