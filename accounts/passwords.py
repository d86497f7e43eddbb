"""How passwords are hashed, and the rules for new ones."""

from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from rest_framework import serializers

MIN_CHARACTERS = 8
MAX_BYTES = 1024


class Argon2idPasswordHasher(Argon2PasswordHasher):
    """Argon2id (RFC 9106) with OWASP's parameters: 19 MiB, two passes, one lane."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1


def is_hashable(password: str) -> bool:
    """Return whether a password is short enough to be hashed at all; longer ones would be a cheap way to burn our
    CPU.
    """
    return len(password) <= MAX_BYTES and len(password.encode("utf-8", "surrogatepass")) <= MAX_BYTES


def refuse_weak_password(password: str, user: Any, field: str = "password") -> None:
    """Raise the 422 that names `field` for a password that breaks a rule for new ones. `user` need not be saved."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from None


class LengthValidator:
    """At least 8 characters, at most 1,024 bytes; every character counts, none is required."""

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) < MIN_CHARACTERS:
            raise ValidationError(f"Choose a password of at least {MIN_CHARACTERS} characters.", "password_too_short")
        if not is_hashable(password):
            raise ValidationError(f"Choose a password of at most {MAX_BYTES} bytes.", "password_too_long")

    def get_help_text(self) -> str:
        return f"At least {MIN_CHARACTERS} characters."


class PersonalDataValidator:
    """No password that is the address, a part of it, the person's name or the product's."""

    def validate(self, password: str, user: Any = None) -> None:
        folded = password.lower()
        email = getattr(user, "email", "") or ""
        name = getattr(user, "name", "") or ""
        guesses = {"spatialflow", email, *email.split("@"), name.lower(), name.lower().replace(" ", "")}
        if any(
            guess and len(guess) >= 4 and folded.strip("0123456789!.") == guess.strip("0123456789!.")
            for guess in guesses
        ):
            raise ValidationError(
                "Choose a password that is not your address, your name or the product's.", "password_personal"
            )

    def get_help_text(self) -> str:
        return "Not your address or name."
