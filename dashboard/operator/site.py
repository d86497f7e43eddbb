"""The operator's pages: Django's admin, to search and read what is stored, and to do what `manage.py` does.

Whoever comes in is an operator (`manage.py make_operator`), signed in to the dashboard by password and with a second
factor: by the same pages, limits and session, so there is no second way in to guard. A provider's word is not enough,
least of all that of a workspace's own. Anybody else is told that there is nothing here.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver

from accounts.models import SignIn, User
from accounts.usage import charge_credential
from dashboard import session
from dashboard.pages import refused, to_confirmation, to_sign_in
from spatialflow.throttling import Throttled

View = Callable[..., HttpResponseBase]


class OperatorSite(AdminSite):
    """Django's admin behind the dashboard's session, without a sign-in of its own."""

    site_header = site_title = "Operator"
    index_title = "What is stored"
    site_url = "/"
    index_template = "operator/index.html"
    enable_nav_sidebar = False
    empty_value_display = "-"

    def has_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and request.user.is_staff

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Let an operator alone reach a view, and let them act only where they have lately proven who they are.
        Answers 404 to others, and where ADMIN_ENABLED is off.
        """
        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not settings.ADMIN_ENABLED:
                raise Http404
            request.auth = session.find_principal(request)
            if request.auth is None:
                return to_sign_in(request)
            request.user = _get_operator(request)
            try:
                charge_credential(request, request.auth)
            except Throttled as refusal:
                return refused(request, refusal)
            if request.method == "POST" and not session.is_fresh(request):
                return to_confirmation(request)
            return inner(request, *args, **kwargs)

        return guarded

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "user": request.user}

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Return the lists and pages of the models, without Django's own ways to sign in, out and change passwords."""
        left_out = {"login", "logout", "password_change", "password_change_done", "view_on_site"}
        return [url for url in super().get_urls() if getattr(url, "name", None) not in left_out]


def _get_operator(request: HttpRequest) -> User:
    """Return the operator who is signed in. Raises Http404 for anybody else. One query."""
    sign_in = SignIn.objects.filter(
        id=request.auth.credential_id,
        method="password",
        user__is_staff=True,
        user__is_active=True,
        user__totp_confirmed_at__isnull=False,
    )
    found = sign_in.select_related("user").first()
    if found is None:
        raise Http404
    return found.user


site = OperatorSite(name="operator")
