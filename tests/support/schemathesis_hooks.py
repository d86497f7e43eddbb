"""What schemathesis loads: each of its requests comes from an address of its own, as those of many clients do.

From one address, requests without a credential would soon use up their limit, and 429 would hide what is answered.
"""

import itertools
from typing import Any

import schemathesis

_numbers = itertools.count(1)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    number = next(_numbers)
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
