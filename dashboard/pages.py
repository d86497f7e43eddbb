"""What every page shares: who is there, what they may do, and how a refusal of the domain code is shown.

Pages hold no logic of their own: they read a form with the API's serializers and call the functions that the API calls.
Those raise the same errors, which stand in the form here, next to their field where they are about one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Case, When
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views import View
from rest_framework import serializers
from rest_framework.exceptions import APIException, MethodNotAllowed, ValidationError

from accounts.models import Membership
from accounts.permissions import HasScope
from accounts.principal import Principal
from accounts.switching import offered
from accounts.tokens import InvalidToken
from accounts.usage import charge_credential
from dashboard import session
from dashboard.drawn_in import DrawnElsewhere, both_workspaces, require_drawn_here
from dashboard.navigation import navigation
from dashboard.wording import sentence_of
from spatialflow.edited import NothingSeen
from spatialflow.errors import validation_response
from sso.destinations import PATH

MOST_IN_MENU = 8


@dataclass
class Form:
    """A form as it is shown: what was typed, and what is wrong with it by field; `problem` is about the whole."""

    values: Mapping[str, Any] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    problem: str = ""

    def getlist(self, name: str) -> list[str]:
        """Return the several values of a field, of a request's form as of a plain mapping."""
        if hasattr(self.values, "getlist"):
            return list(self.values.getlist(name))
        return list(self.values.get(name, []))


class Page(View):
    """A page for whoever is signed in. `scopes` says for each method what it takes, as in the API's views; a page
    that is for everybody sets `is_public`, one for what a stolen session must not be able to do `needs_fresh`, one
    whose form does the same in every workspace `acts_anywhere`. `way_back` is where whoever is refused can go on.

    Answers: 302 to the sign-in for nobody, 403 with the reason without the scope, 429 beyond the plan's limit, 302 to
    /confirm and back where whoever is there has not proven lately who they are, 409 for a form of another workspace or
    one that does not say what it showed.
    """

    is_public: ClassVar[bool] = False
    needs_fresh: ClassVar[bool] = False
    acts_anywhere: ClassVar[bool] = False
    way_back: ClassVar[tuple[str, str]] = ("/", "Go to the front page")
    scopes: ClassVar[dict[str, str]] = {}
    template: ClassVar[str] = ""
    title: ClassVar[str] = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        was_signed_in = "sign_in" in request.session
        request.auth = session.find_principal(request)
        if request.auth is None and not self.is_public:
            return to_sign_in(request, was_signed_in)
        try:
            if not self.is_public:
                charge_credential(request, request.auth)
                if request.method == "POST" and not self.acts_anywhere:
                    require_drawn_here(request)
                HasScope().has_permission(request, self)
            if self.needs_fresh:
                session.require_fresh(request)
            return self.kept_private(super().dispatch(request, *args, **kwargs))
        except session.NotFresh:
            return to_confirmation(request)
        except DrawnElsewhere:
            return self.kept_private(drawn_elsewhere(request))
        except NothingSeen as refusal:
            return self.kept_private(refused(request, refusal, way_back=(request.path, "Open the page again")))
        except InvalidToken as refusal:  # the sign-in ended at this very moment
            return self.kept_private(refused(request, refusal)) if self.is_public else to_sign_in(request)
        except APIException as refusal:
            return self.kept_private(refused(request, refusal, way_back=self.way_back))

    @staticmethod
    def kept_private(response: HttpResponseBase) -> HttpResponseBase:
        response.setdefault("Cache-Control", "no-store")
        return response

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = refused(request, MethodNotAllowed(request.method or ""))
        response["Allow"] = ", ".join(self._allowed_methods())
        return response

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """Return what the template needs beside the shell; subclasses say."""
        return {}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show(request, **kwargs)

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        context = {"form": form or Form(), "title": self.title, **self.context(request, **kwargs)}
        return render(request, self.template, shell(request) | context, status=status)


class FormPage(Page):
    """A page with a form. `submit` carries it out and returns where to go; what it raises is shown in the form.
    `field_of` says next to which field stands what is refused as a whole, by its code. `done_already` are the refusals
    of a form that was sent before: sent again by a reload or the way back, it changes nothing, and a page says so.
    `outside` are the refusals of a form about something that is not there any more: shown again it would lie, so a page
    says so.
    """

    field_of: ClassVar[dict[str, str]] = {}
    done_already: ClassVar[tuple[type[APIException], ...]] = ()
    outside: ClassVar[tuple[type[APIException], ...]] = ()

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        raise NotImplementedError

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return self.submit(request, **kwargs)
        except (session.NotFresh, InvalidToken, NothingSeen):
            raise  # answered by another page, not in the form
        except APIException as refusal:
            if isinstance(refusal, self.outside):
                return refused(request, refusal, way_back=self.way_back)
            if isinstance(refusal, self.done_already):
                return refused(request, refusal, "This was done already", self.way_back)
            form, status = form_of(request.POST, refusal, self.field_of)
            return with_headers(self.show(request, form, status, **kwargs), request, refusal)


def with_headers(response: HttpResponse, request: HttpRequest, refusal: APIException) -> HttpResponse:
    """Return the response with what a refusal of the API carries: above all how long to wait."""
    for name, value in {**getattr(request, "rate_limit_headers", {}), **getattr(refusal, "headers", {})}.items():
        if name != "WWW-Authenticate":  # a browser would ask for a credential of its own
            response[name] = value
    return response


def form_of(
    values: Mapping[str, Any], refusal: APIException, field_of: Mapping[str, str] | None = None
) -> tuple[Form, int]:
    """Return the form that shows a refusal, and its status. `field_of` as in `FormPage`."""
    if isinstance(refusal, ValidationError):
        errors = validation_response(refusal.detail).data["details"]
        return Form(values, errors, " ".join(errors.pop("body", []))), 422
    by_field = getattr(refusal, "extra", {}).get("details", {})
    is_form = "seen" in values  # a box that is not ticked is not sent, and a field all the same
    if by_field and (is_form or by_field.keys() <= values.keys()):  # about a field, though not about how it is written
        return Form(values, errors=dict(by_field)), refusal.status_code
    name = (field_of or {}).get(str(refusal.get_codes()))
    if name:
        return Form(values, errors={name: [sentence_of(refusal)]}), refusal.status_code
    return Form(values, problem=sentence_of(refusal)), refusal.status_code


def validated(serializer: type[serializers.Serializer], data: Any, **context: Any) -> dict[str, Any]:
    """Return the validated members of a form, read by a serializer of the API. Raises the 422 that names the fields."""
    reader = serializer(data=data, context=context)
    reader.is_valid(raise_exception=True)
    read: dict[str, Any] = reader.validated_data
    return read


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame around a page shows: who is there, in which workspace, and where one can go."""
    principal = getattr(request, "auth", None)
    return {
        "principal": principal,
        "navigation": navigation(request.path, principal),
        "memberships": workspace_menu(principal) if principal else [],
    }


def workspace_menu(principal: Principal) -> list[Membership]:
    """Return the first of the workspaces that one may enter, the one that one is in before all others. One query."""
    here_first = Case(When(workspace_id=principal.workspace_id, then=0), default=1)
    return list(offered(principal).order_by(here_first, "workspace__name", "id")[:MOST_IN_MENU])


def to_sign_in(request: HttpRequest, was_signed_in: bool = False) -> HttpResponse:
    """Send somebody who is not signed in to the sign-in, and back to the page they asked for afterwards. Who was signed
    in is told that it has ended.
    """
    if "HX-Request" in request.headers:  # a live part of a page: let the browser load the page as a whole
        return HttpResponse(headers={"HX-Refresh": "true", "Cache-Control": "no-store"})
    if was_signed_in:
        unsent = " What you sent was not carried out." if request.method == "POST" else ""
        messages.warning(request, f"Your sign-in has ended.{unsent} Sign in again.")
    wanted = request.get_full_path()
    return redirect(f"/sign-in?{urlencode({'next': wanted})}" if wanted != "/" else "/sign-in")


def to_confirmation(request: HttpRequest) -> HttpResponse:
    """Let whoever is signed in prove who they are, and come back to the page they were at afterwards. The browser takes
    a form along (307, RFC 9110 section 15.4.8), so that nothing typed is lost.
    """
    query = {"next": request.get_full_path()}
    if request.method != "POST":
        return redirect(f"/confirm?{urlencode(query)}")
    return redirect(f"/confirm?{urlencode({**query, 'typed': 1})}", preserve_request=True)


def refused(
    request: HttpRequest,
    refusal: APIException,
    title: str = "This is not possible",
    way_back: tuple[str, str] = Page.way_back,
) -> HttpResponse:
    """Return the page that says why something cannot be shown or done."""
    if isinstance(refusal, ValidationError):
        sentence, status = validation_response(refusal.detail).data["detail"], 422
    else:
        sentence, status = sentence_of(refusal), refusal.status_code
    title = "There is nothing here" if status == 404 else title
    frame = "dashboard/base.html" if getattr(request, "auth", None) else "dashboard/narrow.html"
    context = {"title": title, "sentence": sentence, "status": status, "frame": frame, "way_back": way_back}
    response = render(request, "dashboard/refused.html", shell(request) | context, status=status)
    return with_headers(response, request, refusal)


def drawn_elsewhere(request: HttpRequest) -> HttpResponse:
    """Return the page that says that a form belongs to another workspace, with the way back there."""
    context = shell(request) | both_workspaces(request) | {"title": "You are in another workspace now"}
    return render(request, "dashboard/drawn_elsewhere.html", context, status=DrawnElsewhere.status_code)


def own_path(text: str) -> str:
    """Return the path of a page of ours that `text` names, or the front page: never another site's."""
    return text if PATH.fullmatch(text) and not text.startswith("/api/") else "/"
