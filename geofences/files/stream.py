"""Reading a file without ever holding more of it than one feature."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from spatialflow.errors import ApiError, PayloadTooLarge

CHUNK = 64 * 1024
# The largest fence needs less than half of it. What lies between two features, styles for instance, counts too.
MAX_FEATURE_BYTES = 1024 * 1024
TOO_LARGE = f"the feature is larger than {MAX_FEATURE_BYTES // 1024 // 1024} MiB; simplify it."


class MalformedFile(ApiError):
    """The file cannot be read on; the text says where and why."""

    default_code = "malformed_file"


class FeatureTooLarge(ApiError):
    status_code = 422
    default_code = "feature_too_large"


class FileTooLarge(PayloadTooLarge):
    """The whole file is larger than an import may be."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass
class Feature:
    """One feature as a file has it. The geometry is GeoJSON's, points among it; `problem` says why there is none.

    `texts` are properties of a format in which all are text: never members of a fence, but its metadata.
    """

    geometry: Any = None
    properties: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None
    texts: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Any:
        """Return a property, or None."""
        value = self.properties.get(name)
        return self.texts.get(name) if value is None else value


class BoundedStream:
    """A file of at most `max_bytes`, if that is given, in which no stretch of which something is kept and no feature
    comes is longer than MAX_FEATURE_BYTES. Raises FileTooLarge, FeatureTooLarge."""

    def __init__(self, source: Readable, max_bytes: int | None = None) -> None:
        self.source, self.max_bytes = source, max_bytes
        self.position = 0
        self.features = 0
        self.last_feature_at = 0

    def read(self, size: int = CHUNK) -> bytes:
        piece = self.source.read(min(size, CHUNK)) if size else b""
        self.position += len(piece)
        if self.max_bytes is not None and self.position > self.max_bytes:
            raise FileTooLarge(f"The file is too large; send at most {self.max_bytes // 1024 // 1024} MiB.")
        if self.position - self.last_feature_at > MAX_FEATURE_BYTES + 2 * CHUNK:
            raise FeatureTooLarge(
                f"The feature with index {self.features}, or what stands before it, is larger than "
                f"{MAX_FEATURE_BYTES // 1024 // 1024} MiB. Simplify or remove it."
            )
        return piece

    def feature_ends(self) -> None:
        """Note that all of another feature was read."""
        self.features += 1
        self.last_feature_at = self.position

    def feature_is_passed_over(self) -> None:
        """Note that nothing is kept of the feature that is being read: it may be of any length."""
        self.last_feature_at = self.position
