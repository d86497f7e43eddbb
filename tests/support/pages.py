"""The dashboard's pages for tests without a browser: a client that is signed in, and the age of its session."""

from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse
from django.test import Client
from lxml import html

from accounts.tokens import TokenPair
from dashboard import session
from dashboard.drawn_in import FIELD
from tests.support.cast import Actor


class Tab(Client):
    """A tab of a browser whose forms were drawn in the workspace that it is in, unless a test says where."""

    def post(self, path: str, data: Any = None, *args: Any, **options: Any) -> HttpResponse:
        sign_in = self.session.get("sign_in")
        if sign_in and (data is None or isinstance(data, dict)):
            data = {FIELD: sign_in[2], **(data or {})}
        return super().post(path, data, *args, **options)


def signed_in(actor: Actor, pair: TokenPair | None = None, **options: Any) -> Tab:
    """Return a browser's client that the actor is signed in to the dashboard with, by the sign-in of `pair` or else by
    the actor's own.
    """
    client = Tab(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", **options)
    request = HttpRequest()
    request.session = client.session
    session.begin(request, pair or actor.pair)
    keep(client, request.session)
    return client


def age_session(client: Client, seconds: int) -> None:
    """Let the client's last proof of who is there have been so many seconds earlier."""
    kept = client.session
    kept["proven_at"] -= seconds
    keep(client, kept)


def keep(client: Client, kept: SessionBase) -> None:
    """Store a session in the client's cookie, as the middleware does."""
    kept.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = kept.session_key


def fill_in(client: Client, path: str, typed: dict[str, Any] | None = None) -> HttpResponse:
    """Open a page and send its form with what was typed and the hidden fields that it was drawn with."""
    return client.post(path, hidden_fields(client.get(path)) | (typed or {}))


def hidden_fields(answer: HttpResponse) -> dict[str, Any]:
    """Return what the form of a page carries unseen."""
    page = html.document_fromstring(answer.content.decode())
    fields = page.xpath("//main//form[@method='post']//input[@type='hidden']")
    return {field.get("name"): field.get("value") for field in fields}
