from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """The pages where people make API keys and owners run their workspace. It owns no rows."""

    name = "dashboard"
