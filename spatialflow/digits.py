"""Numbers that arrive as text, in a form, a query or a string of JSON: written in the digits 0 to 9, as people and
programs of every language write them for computers. Python would read the digits of every script, and underscores.
"""

import re
from typing import Any, ClassVar

from rest_framework import serializers

WHOLE = re.compile(r"\s*[+-]?\d+(\.0*)?\s*", re.ASCII)
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


class WholeNumberField(serializers.IntegerField):
    default_error_messages: ClassVar[dict[str, str]] = {"digits": "Write a whole number in the digits 0 to 9."}

    def to_internal_value(self, data: Any) -> int:
        number = int(super().to_internal_value(data))
        if isinstance(data, str) and not WHOLE.fullmatch(data):
            self.fail("digits")
        return number


class NumberField(serializers.FloatField):
    default_error_messages: ClassVar[dict[str, str]] = {"digits": "Write a number in the digits 0 to 9."}

    def to_internal_value(self, data: Any) -> float:
        number = float(super().to_internal_value(data))
        if isinstance(data, str) and not NUMBER.fullmatch(data):
            self.fail("digits")
        return number
