"""One canonical form for an email address, so that no two accounts, invitations or limits differ only in how it was
typed.
"""

import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

MAX_LENGTH = 254
_validate = EmailValidator("Enter a valid email address.")


def fold(text: str) -> str:
    """Return `text` without the differences that must not matter: outer blanks, Unicode compatibility forms, case."""
    return unicodedata.normalize("NFKC", text.strip()).strip().lower()


def canonical_email(text: str) -> str:
    """Return the address as it is stored and compared: folded, its domain in ASCII (IDNA). Raises ValidationError.

    Mail always goes to the stored form, so a look-alike typed into a form can never receive somebody else's link.
    """
    local, at, domain = fold(text).rpartition("@")
    try:
        address = f"{local}{at}{domain.encode('idna').decode()}"
    except UnicodeError:
        raise ValidationError("Enter a valid email address.") from None
    if len(address) > MAX_LENGTH:
        raise ValidationError(f"An email address has at most {MAX_LENGTH} characters.")
    if not local.isascii():
        raise ValidationError("The part before the @ must be plain ASCII.")
    _validate(address)
    return address
