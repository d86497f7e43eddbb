"""Google and Apple as the settings describe them. Their own addresses are the defaults; tests put a provider on
loopback there.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from rest_framework import status

from spatialflow.errors import ApiError, NotFound

GOOGLE, APPLE = "google", "apple"  # as in paths, and as the provider of a bound identity


class NotConfigured(ApiError):
    """503 as in the contract; nothing that waiting would change, so there is no Retry-After."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "provider_not_configured"

    def __init__(self, display_name: str, missing: tuple[str, ...]) -> None:
        super().__init__(
            f"Sign-in with {display_name} is not set up here: the operator of this service has to set "
            f"{' and '.join(missing)}."
        )


@dataclass(frozen=True)
class Provider:
    """An OpenID provider, and what it knows us as.

    The first of `client_ids` is the one of web pages; id tokens for any of them are ours. `missing_*` name the
    settings without which a way to sign in cannot be offered.
    """

    name: str
    display_name: str
    issuers: tuple[str, ...]
    jwks_url: str
    authorization_url: str
    token_url: str
    client_ids: tuple[str, ...]
    missing_for_native: tuple[str, ...]
    missing_for_web: tuple[str, ...]

    @property
    def web_client_id(self) -> str:
        return self.client_ids[0]


def google() -> Provider:
    return Provider(
        name=GOOGLE,
        display_name="Google",
        # Google writes its issuer in both spellings.
        issuers=(settings.GOOGLE_ISSUER, settings.GOOGLE_ISSUER.removeprefix("https://")),
        jwks_url=settings.GOOGLE_JWKS_URL,
        authorization_url=settings.GOOGLE_AUTHORIZATION_URL,
        token_url=settings.GOOGLE_TOKEN_URL,
        client_ids=tuple(settings.GOOGLE_CLIENT_IDS),
        missing_for_native=_missing("GOOGLE_CLIENT_IDS"),
        missing_for_web=_missing("GOOGLE_CLIENT_IDS", "GOOGLE_CLIENT_SECRET"),
    )


def apple() -> Provider:
    missing = _missing("APPLE_CLIENT_IDS", "APPLE_TEAM_ID", "APPLE_KEY_ID", "APPLE_PRIVATE_KEY")
    return Provider(
        name=APPLE,
        display_name="Apple",
        issuers=(settings.APPLE_ISSUER,),
        jwks_url=settings.APPLE_JWKS_URL,
        authorization_url=settings.APPLE_AUTHORIZATION_URL,
        token_url=settings.APPLE_TOKEN_URL,
        client_ids=tuple(settings.APPLE_CLIENT_IDS),
        missing_for_native=missing,
        missing_for_web=missing,
    )


def _missing(*names: str) -> tuple[str, ...]:
    return tuple(name for name in names if not getattr(settings, name))


PROVIDERS: dict[str, Callable[[], Provider]] = {GOOGLE: google, APPLE: apple}


def get_provider(name: str) -> Provider:
    """Return the provider that a path names. Raises `NotFound`."""
    if name not in PROVIDERS:
        raise NotFound()
    return PROVIDERS[name]()


def offered() -> list[Provider]:
    """Return the providers that browsers can be sent to."""
    return [provider for provider in (describe() for describe in PROVIDERS.values()) if not provider.missing_for_web]


def native_provider(name: str) -> Provider:
    """Return a provider whose id tokens apps may trade. Raises `NotFound`, `NotConfigured`."""
    provider = get_provider(name)
    if provider.missing_for_native:
        raise NotConfigured(provider.display_name, provider.missing_for_native)
    return provider


def web_provider(name: str) -> Provider:
    """Return a provider that browsers can be sent to. Raises `NotFound`, `NotConfigured`."""
    provider = get_provider(name)
    if provider.missing_for_web:
        raise NotConfigured(provider.display_name, provider.missing_for_web)
    return provider
