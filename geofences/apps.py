"""The geofences app: the resource that the credentials of this service protect."""

from django.apps import AppConfig


class GeofencesConfig(AppConfig):
    name = "geofences"

    def ready(self) -> None:
        from accounts.hooks import workspace_counts
        from geofences.queries import count_geofences

        workspace_counts["geofences"] = count_geofences
