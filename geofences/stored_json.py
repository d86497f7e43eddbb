"""How large JSON of a client becomes once it is stored as jsonb and handed out again, and which JSON may be stored.

Sizes are bytes as they are sent: Postgres writes a space behind each comma and colon, six bytes for most control
characters, and numbers in full, so that 1e308 is five bytes in a request and 309 in every answer.
"""

import re
from decimal import Decimal

import orjson

MAX_DEPTH = 32
EXPONENT = re.compile(rb"\de")
MAX_BITS = 64  # of a whole number in JSON; a larger one becomes a float when it is read


def find_reason_not_to_store(value: object, max_bytes: int) -> str | None:
    """Return what is wrong, as the end of a sentence, or None. Walks without recursion, so that no depth can exhaust
    the stack."""
    size = 0
    pending: list[tuple[object, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            return f"is nested more than {MAX_DEPTH} levels deep"
        match item:
            case dict():
                size += 2 + sum(text_bytes(key) + 2 for key in item) + _commas(len(item))
                pending += [(member, depth + 1) for member in item.values()]
            case list():
                size += 2 + _commas(len(item))
                pending += [(member, depth + 1) for member in item]
            case _:
                size += _bytes_of_scalar(item)
        if size > max_bytes:
            return f"is larger than {max_bytes // 1024} KiB"
    return None


def is_plainly_within(value: object, max_bytes: int) -> bool:
    """Return whether JSON that nests as deep as it may is so short that nobody has to count: without exponents, no sign
    takes more than two bytes. False says nothing."""
    text = orjson.dumps(value)
    return 2 * len(text) <= max_bytes and not EXPONENT.search(text)


def text_bytes(text: str) -> int:
    """Return how many bytes a text is in JSON, its quotation marks included."""
    return len(orjson.dumps(text))


def quoted(text: str) -> str:
    """Return the beginning of a text as a sentence about it shows it: between quotation marks, on one line."""
    return orjson.dumps(text[:50]).decode()


def _commas(members: int) -> int:
    """Return the bytes between so many members, a space behind each comma."""
    return 2 * max(members - 1, 0)


def _bytes_of_scalar(value: object) -> int:
    if isinstance(value, str):
        return text_bytes(value)
    if isinstance(value, float) and abs(value) < float("inf"):
        text = repr(value)
        return len(format(Decimal(text), "f")) if "e" in text else len(text)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return value.bit_length()
    return len(str(value)) if value is not None else len("null")
