"""System checks: configurations that would be unsafe are named at start, not found out later."""

from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register


@register(Tags.security)
def limits_are_on(app_configs: Any, **kwargs: Any) -> list[Error]:
    if not getattr(settings, "RATELIMIT_ENABLE", True) or getattr(settings, "RATELIMIT_FAIL_OPEN", False):
        return [Error("The rate limits must not be switched off.", id="spatialflow.E001")]
    return []


@register(Tags.security)
def requests_are_not_atomic(app_configs: Any, **kwargs: Any) -> list[Error]:
    if any(database.get("ATOMIC_REQUESTS") for database in settings.DATABASES.values()):
        hint = "A refusal would roll back the revocation it is based on."
        return [Error("ATOMIC_REQUESTS must be off.", hint=hint, id="spatialflow.E002")]
    return []


@register(Tags.security)
def proxies_are_counted(app_configs: Any, **kwargs: Any) -> list[Error]:
    if settings.PRODUCTION and not settings.TRUSTED_PROXY_COUNT:
        hint = "The server is meant for loopback behind a proxy; with 0 every caller counts as the proxy's address."
        return [Error("TRUSTED_PROXY_COUNT must be at least 1 in production.", hint=hint, id="spatialflow.E003")]
    return []
