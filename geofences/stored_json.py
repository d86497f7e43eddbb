"""Which JSON of a client may be stored as jsonb and handed out again in a list of 500, whatever it holds."""

MAX_DEPTH = 32
# jsonb keeps numbers in full: 1e308 is five bytes in a request and 309 in every answer.
BYTES_OF_NUMBER_WITH_EXPONENT = 330


def find_reason_not_to_store(value: object, max_bytes: int) -> str | None:
    """Return what is wrong, as the end of a sentence, or None. Walks without recursion, so that no depth can exhaust
    the stack."""
    size = 0
    pending: list[tuple[object, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            return f"is nested more than {MAX_DEPTH} levels deep"
        size += 2
        match item:
            case str():
                size += len(item.encode(errors="replace"))
            case bool() | None:
                size += 4
            case int() | float():
                size += _digits(item)
            case dict():
                size += sum(len(key.encode(errors="replace")) + 3 for key in item)
                pending += [(member, depth + 1) for member in item.values()]
            case list():
                pending += [(member, depth + 1) for member in item]
        if size > max_bytes:
            return f"is larger than {max_bytes // 1024} KiB"
    return None


def _digits(number: int | float) -> int:
    text = repr(float(number)) if abs(number) < 1e300 else "e"
    return BYTES_OF_NUMBER_WITH_EXPONENT if "e" in text else len(text)
