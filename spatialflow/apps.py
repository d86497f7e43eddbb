from django.apps import AppConfig


class SpatialflowConfig(AppConfig):
    """The project package as an app: it owns the counters table and the system checks."""

    name = "spatialflow"

    def ready(self) -> None:
        from spatialflow import checks  # noqa: F401 - registers the checks
