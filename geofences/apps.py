"""The geofences app: the resource that the credentials of this service protect."""

from django.apps import AppConfig


class GeofencesConfig(AppConfig):
    name = "geofences"
