"""The addresses of the geofences, below /api/v1/."""

from django.urls import path

from geofences.file_views import ExportView, ImportView
from geofences.views import (
    ActiveSummaryView,
    ArchiveView,
    BulkView,
    GeofenceGroupView,
    GeofenceListView,
    GeofenceView,
    GroupListView,
    GroupTestPointView,
    GroupView,
    HealthView,
    TagListView,
    TestPointView,
    UnarchiveView,
)

urlpatterns = [
    path("geofences", GeofenceListView.as_view()),
    path("geofences/active-summary", ActiveSummaryView.as_view()),
    path("geofences/bulk", BulkView.as_view()),
    path("geofences/export", ExportView.as_view()),
    path("geofences/groups", GroupListView.as_view()),
    path("geofences/groups/<str:group_id>/geofences", GroupView.as_view()),
    path("geofences/groups/<str:group_id>/test-point", GroupTestPointView.as_view()),
    path("geofences/health", HealthView.as_view()),
    path("geofences/import", ImportView.as_view()),
    path("geofences/tags", TagListView.as_view()),
    path("geofences/test-point", TestPointView.as_view()),
    path("geofences/<str:geofence_id>", GeofenceView.as_view()),
    path("geofences/<str:geofence_id>/archive", ArchiveView.as_view()),
    path("geofences/<str:geofence_id>/group", GeofenceGroupView.as_view()),
    path("geofences/<str:geofence_id>/unarchive", UnarchiveView.as_view()),
]
