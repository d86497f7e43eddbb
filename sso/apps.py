from django.apps import AppConfig


class SsoConfig(AppConfig):
    """Signing in by an identity that somebody else vouches for: Google, Apple, and a workspace's own provider."""

    name = "sso"
