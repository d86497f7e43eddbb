"""What answers where no page of ours does: an unknown address, a form that is not ours, a crash. The answer is the
project's (spatialflow/errors.py); whoever is signed in gets it inside the shell, with the ways to go on.
"""

import logging

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework import status

from accounts.usage import charge_credential
from dashboard import session
from dashboard.middleware import MACHINES
from dashboard.pages import Page, refused, shell
from spatialflow import errors
from spatialflow.throttling import Throttled

logger = logging.getLogger(__name__)

FORM_REFUSED = "This form is too old, or it was not sent from here. Nothing has changed."
FORM_TOO_LARGE = "The form is too large; send at most 1 MiB. Nothing has changed."


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer an unknown address: Django's handler404."""
    return _in_shell(request, errors.not_found(request, exception))


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer what cannot be read: Django's handler400. A form that is too large leads back to its page."""
    plain = errors.bad_request(request, exception)
    is_large_form = isinstance(exception, RequestDataTooBig)
    return _in_shell(request, plain, FORM_TOO_LARGE, request.path) if is_large_form else plain


def form_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that another site sent, or that was open for longer than its cookie: CSRF_FAILURE_VIEW."""
    return _in_shell(request, errors.form_refused(request), FORM_REFUSED, request.path)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a crash: Django's handler500. A database that is away is none, and there is no shell without it."""
    plain = errors.server_error(request)
    return _in_shell(request, plain) if plain.status_code == status.HTTP_500_INTERNAL_SERVER_ERROR else plain


def _in_shell(request: HttpRequest, plain: HttpResponse, sentence: str = "", way_back: str = "") -> HttpResponse:
    """Return the answer as a page for whoever is signed in, which counts like any other; as it is for anybody else, and
    where what the shell needs is what is broken.
    """
    if request.path.startswith(MACHINES) or not hasattr(request, "session"):
        return plain
    try:
        request.auth = session.find_principal(request)
        if request.auth is None:
            return plain
        charge_credential(request, request.auth)
        said = {"title": plain.status_code, "status": plain.status_code, "sentence": sentence, "way_back": way_back}
        return Page.kept_private(
            render(request, "dashboard/outside.html", shell(request) | said, status=plain.status_code)
        )
    except Throttled as refusal:
        return Page.kept_private(refused(request, refusal))
    except Exception:
        logger.exception("no shell around a %s", plain.status_code)
        return plain
