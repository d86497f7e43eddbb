"""The front page: where to begin."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dashboard.navigation import first_place
from dashboard.pages import Page


class HomePage(Page):
    """For whoever is signed in the first of their places; for anybody else what this service is and where to begin."""

    is_public = True
    template = "dashboard/home.html"
    title = "Welcome"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.auth is not None:
            return redirect(first_place(request.auth))
        return self.show(request)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {
            "public_url": settings.PUBLIC_URL,
            "is_development": not settings.PRODUCTION,
            "is_open": settings.SIGNUP_IS_OPEN,
            "mail_folder": settings.EMAIL_FILE_PATH,
        }
