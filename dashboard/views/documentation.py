"""The documentation that lies beside the code, for whoever has just started the service from there."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from dashboard.pages import Page
from spatialflow.errors import NotFound

DOCUMENTS = {
    "readme": ("README.md", "How the service is used and run"),
    "operations": ("docs/operations.md", "Running the service"),
    "limits": ("docs/limits.md", "Limits"),
    "geofences": ("docs/geofences.md", "Geofences"),
    "saml": ("docs/saml.md", "Single sign-on by SAML"),
    "google-apple": ("docs/sso-google-apple.md", "Signing in with Google and Apple"),
}


class DocumentationPage(Page):
    """Show one of the documents as it was written. Raises `NotFound` for others, and where only the code was put."""

    is_public = True
    template = "dashboard/documentation.html"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        path, title = DOCUMENTS.get(kwargs["document"], ("", ""))
        file = settings.BASE_DIR / path
        if not file.is_file():
            raise NotFound()
        return {"title": title, "path": path, "text": file.read_text(encoding="utf-8")}
