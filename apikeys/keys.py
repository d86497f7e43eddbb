"""The form of an API key: `sf_`, 40 random base62 characters, and a 6-character checksum of what precedes it.

The prefix and the checksum let a secret scanner recognise a key without asking us, and let us refuse a typo without a
query. Only the SHA-256 digest is stored: with 238 random bits a slow hash would protect nothing and slow every
request.
"""

import hashlib
import secrets
import zlib

PREFIX = "sf_"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 40
CHECKSUM_LENGTH = 6
KEY_LENGTH = len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH
SHOWN_LENGTH = len(PREFIX) + 8


def generate() -> str:
    """Return a new key in plain text. It is shown once and never stored."""
    body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return body + checksum(body)


def checksum(body: str) -> str:
    """Return the CRC-32 of `body` in base62, zero-padded."""
    value = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def is_well_formed(raw: str) -> bool:
    """Return whether `raw` has the form of a key, checksum included. Needs no query; says nothing about whether it is
    a live key.
    """
    if len(raw) != KEY_LENGTH or not raw.startswith(PREFIX) or not raw.isascii() or not raw[len(PREFIX) :].isalnum():
        return False
    return checksum(raw[:-CHECKSUM_LENGTH]) == raw[-CHECKSUM_LENGTH:]


def digest(raw: str) -> bytes:
    """Return what is stored in place of the key."""
    return hashlib.sha256(raw.encode("ascii")).digest()


def shown_prefix(raw: str) -> str:
    """Return the beginning by which people recognise a key in a list."""
    return raw[:SHOWN_LENGTH]
