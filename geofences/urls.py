"""The addresses of the geofences, below /api/v1/."""

from django.urls import path

from geofences.views import GeofenceListView, GeofenceView, HealthView

urlpatterns = [
    path("geofences", GeofenceListView.as_view()),
    path("geofences/health", HealthView.as_view()),
    path("geofences/<str:geofence_id>", GeofenceView.as_view()),
]
