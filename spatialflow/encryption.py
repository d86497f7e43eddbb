"""Encryption of the few secrets that must be recoverable; the keys are not in the database (ENCRYPTION_KEYS).

Where such secrets are kept stands in `encrypted_columns`: whoever adds a column registers it in the app's AppConfig, so
that `manage.py reencrypt` finds it when a key is to be removed (spatialflow/reencryption.py).
"""

import base64
import hashlib
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db.models import Model

encrypted_columns: list[tuple[type[Model], str]] = []


class CannotDecrypt(Exception):
    """The text was encrypted with a key that is not configured any more, or was tampered with."""


@cache
def _fernet() -> MultiFernet:
    """Return AES with an authentication tag, under the first key when encrypting and any when decrypting."""
    return MultiFernet([_one_key(secret) for secret in settings.ENCRYPTION_KEYS.values()])


@cache
def _newest() -> Fernet:
    return _one_key(next(iter(settings.ENCRYPTION_KEYS.values())))


def _one_key(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()))


def encrypt(text: str) -> str:
    return _fernet().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Return the text. Raises `CannotDecrypt`."""
    try:
        return _fernet().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise CannotDecrypt() from None


def is_newest(encrypted: str) -> bool:
    """Return whether the first key of ENCRYPTION_KEYS alone decrypts the text."""
    try:
        _newest().decrypt(encrypted.encode())
    except InvalidToken:
        return False
    return True


def renew(encrypted: str) -> str:
    """Return the same text encrypted under the first key. Raises `CannotDecrypt`."""
    try:
        return _fernet().rotate(encrypted.encode()).decode()
    except InvalidToken:
        raise CannotDecrypt() from None
