"""What KML and GPX share: XML read element by element, without ever building the document, and text that XML can hold.

A DOCTYPE is refused before anything in it is read, so there are no entities, and nothing is fetched.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import orjson
from lxml import etree
from rest_framework.exceptions import ParseError

from geofences.files.stream import MAX_FEATURE_BYTES, TOO_LARGE, BoundedStream, Feature, MalformedFile
from geofences.stored_json import quoted
from spatialflow.strict_json import read_strictly

MAX_ELEMENTS = 50_000  # in one feature
TOO_MANY = f"the feature has more than {MAX_ELEMENTS:,} elements; simplify it."
NAMESPACE = "urn:spatialflow:geofence"
FENCE = f"{{{NAMESPACE}}}fence"
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE_NUMBER = re.compile(r"-?\d{1,15}", re.ASCII)


class Unreadable(ValueError):
    """One feature cannot be read; the text is the reason."""


def read_features(
    stream: BoundedStream, root: str, wanted: frozenset[str], read_one: Callable[[Any], Feature]
) -> Iterator[Feature]:
    """Yield what `read_one` makes of each wanted element, known by its local name, once it is complete; those inside of
    another one come with it. Local names stand for all namespaces but ours. Raises MalformedFile.
    """
    collector = _Collector(stream, root, wanted)
    parser = etree.XMLParser(
        target=collector, resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, recover=False
    )
    try:
        while piece := stream.read():
            parser.feed(piece)
            for element, problem in collector.take():
                yield Feature(problem=problem) if problem else read_one(element)
        parser.close()
    except etree.XMLSyntaxError as error:
        raise MalformedFile(f"The file is not valid XML: {error.msg}.") from None


class _Collector:
    """A target for the parser, which calls it for what it reads: builds the wanted elements and forgets the rest. One
    that is too large is forgotten, too, and `problem` says so until it ends."""

    def __init__(self, stream: BoundedStream, root: str, wanted: frozenset[str]) -> None:
        self.stream, self.root, self.wanted = stream, root, wanted
        self.builder: Any = None
        self.problem: str | None = None
        self.depth = self.elements = self.began_at = 0
        self.is_begun = False
        self.complete: list[tuple[Any, str | None]] = []

    def take(self) -> list[tuple[Any, str | None]]:
        """Return the elements that are complete, each with its problem, after every chunk of the file."""
        if self.builder is not None and self.stream.position - self.began_at > MAX_FEATURE_BYTES:
            self.builder, self.problem = None, TOO_LARGE
        if self.problem:
            self.stream.feature_is_passed_over()
        complete, self.complete = self.complete, []
        return complete

    def doctype(self, name: str, public_id: str | None, system_url: str | None) -> None:
        raise MalformedFile("The file has a DOCTYPE, which is not read. Remove it.")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local_name(tag)
        if not self.is_begun and name != self.root:
            raise MalformedFile(f"The file's first element is {quoted(name)}; it must be {quoted(self.root)}.")
        self.is_begun = True
        if not self.depth:
            if name not in self.wanted:
                return
            self.builder, self.elements, self.began_at = etree.TreeBuilder(), 0, self.stream.position
        self.depth += 1
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            self.builder, self.problem = None, TOO_MANY
        if self.builder is not None:
            self.builder.start(name, dict(attributes))

    def end(self, tag: str) -> None:
        if not self.depth:
            return
        if self.builder is not None:
            self.builder.end(_local_name(tag))
        self.depth -= 1
        if not self.depth:
            self.complete.append((self.builder.close() if self.builder is not None else None, self.problem))
            self.builder = self.problem = None
            self.stream.feature_ends()

    def data(self, text: str) -> None:
        if self.builder is not None:
            self.builder.data(text)

    def close(self) -> None:
        """Leave nothing: what was complete has been taken."""


def _local_name(tag: str) -> str:
    return tag if tag == FENCE else tag.rpartition("}")[2]


def text_of(parent: Any, name: str) -> str | None:
    """Return the text of a child, or None where it has none."""
    text: str | None = parent.findtext(name)
    return text.strip() or None if text else None


def read_number(text: str | None) -> float:
    """Return a number, a whole one as an integer. Raises Unreadable."""
    text = (text or "").strip()
    if WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if not NUMBER.fullmatch(text):
        raise Unreadable(f"{quoted(text)} is not a number.")
    return float(text)


def write_number(number: float) -> str:
    """Return a number in full, without an exponent, which not every reader knows."""
    text = repr(number)
    return format(Decimal(text), "f") if "e" in text else text


def read_fence_members(text: str | None) -> dict[str, Any]:
    """Return what `write_fence_members` wrote. Raises Unreadable."""
    if text is None:
        return {}
    try:
        members = read_strictly(text.encode(), "it")
    except ParseError as error:
        raise Unreadable(f"what this service wrote about the fence was changed: {error.detail}") from None
    if not isinstance(members, dict):
        raise Unreadable("what this service wrote about the fence was changed: it is no JSON object.")
    return members


def write_fence_members(fence: dict[str, Any], members: dict[str, Any]) -> str:
    """Return as JSON what KML and GPX have no element for, and names that XML cannot hold."""
    unwritable = {
        name: fence[name] for name in ("name", "description") if fence[name] and UNWRITABLE.search(fence[name])
    }
    known = {"type", "coordinates"} if fence["geometry"]["type"] != "Circle" else {"type", "center", "radius_meters"}
    others = {name: value for name, value in fence["geometry"].items() if name not in known}
    kept = {name: value for name, value in members.items() if name != "description"} | unwritable
    if others:
        kept["geometry_members"] = others
    if not kept:
        return ""
    text = orjson.dumps(kept).decode()
    return UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def add_text(parent: Any, name: str, text: str | None) -> None:
    """Add a child with the text, if there is any; a character that XML has not becomes U+FFFD."""
    if text:
        etree.SubElement(parent, name).text = UNWRITABLE.sub("\ufffd", text)
