from django.apps import AppConfig


class ApiKeysConfig(AppConfig):
    """Machine credentials of a workspace: their format, storage, and management."""

    name = "apikeys"
