"""Encryption of the few secrets that must be recoverable; the keys are not in the database (ENCRYPTION_KEYS)."""

import base64
import hashlib
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class CannotDecrypt(Exception):
    """The text was encrypted with a key that is not configured any more, or was tampered with."""


@cache
def _fernet() -> MultiFernet:
    """Return AES with an authentication tag, under the first key when encrypting and any when decrypting."""
    digests = (hashlib.sha256(secret.encode()).digest() for secret in settings.ENCRYPTION_KEYS.values())
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


def encrypt(text: str) -> str:
    return _fernet().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Return the text. Raises `CannotDecrypt`."""
    try:
        return _fernet().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise CannotDecrypt() from None
