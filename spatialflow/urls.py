"""Every address of the service. The two spellings of a path, with and without the trailing slash, are one here
(`spatialflow.api.SlashlessPathMiddleware`)."""

from django.urls import include, path

from accounts.views.public_keys import PublicKeysView
from dashboard.operator import tables
from spatialflow.docs import DescriptionView, DocsView

urlpatterns = [
    path("api/v1/openapi.json", DescriptionView.as_view()),
    path("api/v1/docs", DocsView.as_view()),
    path("api/v1/", include("geofences.urls")),  # first, since patterns are tried in order: it is asked most
    path("api/v1/", include("accounts.urls")),
    path("api/v1/", include("apikeys.urls")),
    path("api/v1/", include("sso.urls")),
    path(".well-known/jwks.json", PublicKeysView.as_view()),
    path("operator", tables.site.admin_view(tables.site.index)),
    path("operator/", tables.site.urls),
    path("", include("dashboard.urls")),
]

handler400 = "dashboard.outside.bad_request"
handler403 = "spatialflow.errors.permission_denied"
handler404 = "dashboard.outside.not_found"
handler500 = "dashboard.outside.server_error"
