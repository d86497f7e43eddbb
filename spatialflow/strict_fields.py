"""Fields for bodies that take JSON's own types and nothing that resembles them: DRF's would read 5 as "5", and 1 or
"yes" as true. What answers hold is described with DRF's.
"""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty


class OnlyText:
    """Refuse what is no text, before CharField calls str() on it, which a deeply nested list makes a RecursionError."""

    def run_validation(self, data: Any = empty) -> Any:
        if data is not None and data is not empty and not isinstance(data, str):
            self.fail("invalid")  # type: ignore[attr-defined]
        return super().run_validation(data)  # type: ignore[misc]


class TextField(OnlyText, serializers.CharField):
    pass


class EmailField(OnlyText, serializers.EmailField):
    pass


class URLField(OnlyText, serializers.URLField):
    pass


class RegexField(OnlyText, serializers.RegexField):
    pass


class TrueOrFalseField(serializers.BooleanField):
    default_error_messages: ClassVar[dict[str, str]] = {"invalid": "Must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data
