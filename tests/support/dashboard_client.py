"""Django's test client, signed in to the dashboard: for statuses and refusals that need no browser."""

from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.test import Client, RequestFactory

from dashboard import session
from tests.support.cast import Actor


def signed_in(actor: Actor, **options: Any) -> Client:
    """Return a client with a new dashboard session of the actor's sign-in. `options` are those of Django's Client."""
    request = RequestFactory().get("/")
    request.session = SessionStore()
    session.begin(request, actor.pair)
    client = Client(**options)
    keep(client, request.session)
    return client


def keep(client: Client, kept: SessionStore) -> None:
    """Put a session into the client's cookie, as if the service had answered with it."""
    kept.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = kept.session_key


def change_session(client: Client, **changes: Any) -> None:
    """Lay changes over what the client's session holds: a moment that it began, say."""
    kept = SessionStore(client.cookies[settings.SESSION_COOKIE_NAME].value)
    kept.update(changes)
    keep(client, kept)
