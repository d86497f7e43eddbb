"""Every page of the dashboard, with what it answers to whom; and what each must be like, whatever it shows.

A new page fails tests/test_dashboard_pages.py until it stands in PAGES. Where its address holds an id, say in IDS how
to make what it names.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest, HttpResponse
from django.test import Client
from lxml import html
from social_django.models import UserSocialAuth

from accounts.audit import Action, record_for
from accounts.models import AuditEvent, Invitation
from dashboard import entering
from dashboard.session import FRESH_FOR
from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fences import store_row
from tests.support.pages import age_session, keep, signed_in
from tests.support.sso_history import a_domain, an_attempt, connected
from tests.support.urls import EXAMPLE_ID, page_patterns

HOST = urlsplit(settings.PUBLIC_URL).netloc


@dataclass(frozen=True)
class Answers:
    """The statuses of GET. `takes_old_proof`: it is tried by whoever has proven long ago who they are. `kept` is what
    an earlier page has put into the session.
    """

    anyone: int
    member: int
    owner: int
    takes_old_proof: bool = False
    kept: Callable[[Actor], dict[str, Any]] = lambda actor: {}


OWN = Answers(302, 200, 200)  # everybody's own
WRITERS = Answers(302, 403, 200)  # who may change geofences
FIRST = Answers(200, 200, 200)  # before one is signed in
AWAY = Answers(302, 302, 302)
FORM_ONLY = Answers(302, 302, 302)  # a form of other pages is sent here


def followed(path: str, **carried: str) -> Answers:
    """Return what a page answers to whoever has just followed a mailed link to it."""
    return Answers(200, 200, 200, kept=lambda actor: {"links": {path: carried or {"token": "t" * 43}}})


OWNERS = Answers(302, 403, 200)
CONNECTED = Answers(302, 403, 200, kept=connected)  # of a connection to an identity provider, which has to be there
SSO_OF_A_CONNECTION = (
    *(f"/{which}/{leaf}" for which in ("connection", "staged") for leaf in ("metadata", "reread", "by-hand")),
    *(f"/{which}/{leaf}" for which in ("connection", "staged") for leaf in ("settings", "certificates", "test")),
    *("/domains/<str:domain_id>", "/domains/<str:domain_id>/remove", "/attempts/<str:attempt_id>"),
    *("/enable", "/disable", "/require", "/lift", "/delete"),
    *("/staged", "/staged/promote", "/staged/discard", "/roll-back"),
)


def typed(actor: Actor) -> dict[str, Any]:
    return {"email": actor.user.email, "way": None}


def proven(actor: Actor) -> dict[str, Any]:
    request = HttpRequest()
    request.session = SessionStore()
    entering.keep_proof(request, actor.user)
    return dict(request.session)


PAGES: dict[str, Answers] = {
    "/": Answers(200, 302, 302),
    "/accept-invite": Answers(200, 200, 200, kept=lambda actor: {"links": {"/accept-invite": invitation(actor)}}),
    "/confirm": Answers(302, 200, 200, takes_old_proof=True),
    "/confirm/done": OWN,
    "/confirm/elsewhere": Answers(302, 404, 404),  # they have a password and nothing else
    "/confirm-email-change": followed("/confirm-email-change"),
    "/documentation/<str:document>": FIRST,
    "/forgot-password": FIRST,
    "/forgot-password/sent": FIRST,
    "/geofences": OWN,
    "/geofences/<str:geofence_id>": OWN,
    "/geofences/<str:geofence_id>/archive": WRITERS,
    "/geofences/<str:geofence_id>/delete": WRITERS,
    "/geofences/<str:geofence_id>/edit": WRITERS,
    "/geofences/<str:geofence_id>/restore": WRITERS,
    "/geofences/<str:geofence_id>/unarchive": WRITERS,
    "/geofences/new": WRITERS,
    "/geofences/test-point": OWN,
    "/resend-verification": FORM_ONLY,
    "/reset-password": followed("/reset-password"),
    "/settings/api-keys": OWN,
    "/settings/api-keys/<str:key_id>": OWN,
    "/settings/api-keys/<str:key_id>/disable": OWN,
    "/settings/api-keys/<str:key_id>/edit": OWN,
    "/settings/api-keys/<str:key_id>/enable": OWN,
    "/settings/api-keys/<str:key_id>/expiration": OWN,
    "/settings/api-keys/<str:key_id>/narrow": OWN,
    "/settings/api-keys/<str:key_id>/regenerate": OWN,
    "/settings/api-keys/<str:key_id>/revoke": OWN,
    "/settings/api-keys/<str:key_id>/rotate": OWN,
    "/settings/api-keys/new": OWN,
    "/settings/audit-log": OWNERS,
    "/settings/audit-log/<str:event_id>": OWNERS,
    "/settings/audit-log/export": Answers(302, 403, 302),
    "/settings/audit-log/verify": OWNERS,
    "/settings/members": OWN,
    "/settings/members/<str:user_id>": OWNERS,
    "/settings/members/<str:user_id>/remove": OWNERS,
    "/settings/members/leave": OWN,
    "/settings/members/invitations": OWNERS,
    "/settings/members/invitations/<str:invite_id>": OWNERS,
    "/settings/members/invitations/<str:invite_id>/cancel": OWNERS,
    "/settings/members/invitations/<str:invite_id>/extend": OWNERS,
    "/settings/members/invitations/<str:invite_id>/resend": OWNERS,
    "/settings/members/invitations/new": OWNERS,
    "/settings/members/invitations/resend-all": OWNERS,
    "/settings/profile": OWN,
    "/settings/profile/delete": OWN,
    "/settings/security": OWN,
    "/settings/security/accounts/<str:provider>/disconnect": OWN,
    "/settings/security/email": OWN,
    "/settings/security/password": OWN,
    "/settings/security/recovery-codes": OWN,
    "/settings/security/second-factor": OWN,
    "/settings/security/second-factor/confirm": OWN,
    "/settings/security/second-factor/remove": OWN,
    "/settings/sign-ins": OWN,
    "/settings/sign-ins/end-others": OWN,
    "/settings/sign-ins/everywhere": OWN,
    **{f"/settings/sso{leaf}": OWNERS for leaf in ("", "/provider", "/recovery", "/domains", "/attempts")},
    **{f"/settings/sso{leaf}": CONNECTED for leaf in SSO_OF_A_CONNECTION},
    "/settings/sso/tested": Answers(302, 403, 404),
    "/settings/workspace": OWN,
    "/settings/workspace/delete": OWNERS,
    "/settings/workspace/end-sign-ins": OWNERS,
    "/settings/workspace/security": OWNERS,
    "/settings/workspace/usage": OWN,
    "/sign-in": Answers(200, 302, 302),
    "/sign-in/by/<str:slug>": Answers(404, 404, 404),
    "/sign-in/code": Answers(200, 200, 200, kept=proven),
    "/sign-in/password": Answers(200, 200, 200, kept=typed),
    "/sign-in/sso/<str:slug>": FIRST,
    "/sign-in/with/<str:provider>": Answers(503, 503, 503),  # neither is configured in tests
    "/sign-out": FORM_ONLY,
    "/sign-up": FIRST,
    "/sign-up/sent": FIRST,
    "/signed-in": AWAY,
    "/signed-in/unasked": Answers(401, 401, 401),  # without the code that a provider's answer has left
    "/sso-recovery": followed("/sso-recovery"),
    "/sso-recovery/ask": FIRST,
    "/sso-recovery/repair": Answers(302, 403, 404),
    "/sso-recovery/sent": FIRST,
    "/verify-email": followed("/verify-email"),
    "/workspaces": OWN,
    "/workspaces/new": OWN,
}


def a_key(actor: Actor) -> Any:
    """Return the id of the key of the actor's that was used most, or of a new one."""
    key = actor.user.api_keys.filter(revoked_at=None).with_usage().order_by("-usage_count").first()
    return key.id if key else actor.make_key()[0].id


def a_fence(actor: Actor) -> Any:
    """Return the id of the oldest fence of the actor's workspace, or of a new one."""
    fence = Geofence.objects.for_workspace(actor.workspace.id).order_by("created_at").first()
    return fence.id if fence else store_row(actor, "Yard").id


def linked_provider(actor: Actor) -> str:
    UserSocialAuth.objects.get_or_create(user=actor.user, provider="google", uid=str(actor.user.id))
    return "google"


def a_member(actor: Actor) -> Any:
    """Return the user id of the newest member of the actor's workspace."""
    return actor.workspace.memberships.order_by("-created_at").first().user_id


def an_invitation(actor: Actor) -> Any:
    """Return the id of the newest pending invitation to the actor's workspace, or of a new one."""
    pending = Invitation.objects.for_workspace(actor.workspace.id).pending().order_by("-created_at").first()
    return pending.id if pending else invitation(actor)["invite_id"] or EXAMPLE_ID


def an_event(actor: Actor) -> Any:
    """Return the id of the newest event of the actor's workspace, or of a new one."""
    events = AuditEvent.objects.filter(workspace_id=actor.workspace.id)
    if not events.exists():
        record_for(actor.request(), Action.WORKSPACE_UPDATED, "Workspace changed.", changes={"fields": ["name"]})
    return events.latest("sequence").id


# What stands in an address, by the name of the variable.
IDS: dict[str, Callable[[Actor], Any]] = {
    "geofence_id": a_fence,
    "key_id": a_key,
    "attempt_id": an_attempt,
    "event_id": an_event,
    "invite_id": an_invitation,
    "user_id": a_member,
    "domain_id": a_domain,
    "provider": linked_provider,
    "document": lambda actor: "readme",
    "slug": lambda actor: actor.workspace.slug,
}


def invitation(actor: Actor) -> dict[str, str]:
    """Return what the link of a new invitation carries."""
    email = f"guest-{secrets.token_hex(4)}@guests.test"
    answer = actor.client.post("/api/v1/workspaces/invitations", {"email": email, "role": "member"}, format="json")
    if answer.status_code != 201:
        return {"invite_id": "", "token": ""}
    link = answer.json()["invite_link"]
    return dict(parse_qsl(urlsplit(link).query))


def visitor(route: str, who: Actor | None, about: Actor) -> Client:
    """Return the browser of somebody, or of nobody, who has come to a page as its table says."""
    client = signed_in(who, HTTP_HOST=HOST) if who else Client(HTTP_HOST=HOST)
    answers = PAGES[route]
    kept = client.session
    kept.update(answers.kept(about))
    keep(client, kept)
    if who and answers.takes_old_proof:
        age_session(client, FRESH_FOR + 1)
    return client


def route_names() -> set[str]:
    return {route for route, _ in page_patterns()}


def fill(route: str, actor: Actor) -> str:
    """Return the address of a page, with ids of the actor's."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(IDS[found.group(1)](actor)), route)


def assert_well_made(answer: HttpResponse) -> None:
    """Assert what holds for every page: its headers, its frame, nothing inline, every form protected."""
    for name, value in HEADERS.items():
        assert answer.get(name) == value, name
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert policy == POLICY
    text = answer.content.decode()
    page = html.document_fromstring(text)
    assert text.startswith("<!doctype html>") and page.get("lang") == "en"
    assert page.findtext(".//title", "").strip().endswith("· SpatialFlow")
    assert len(page.findall(".//h1")) == 1 and page.find(".//h1").text_content().strip()
    assert page.findall(".//main") and not page.findall(".//style") and not page.xpath("//*[@style]")
    assert not page.xpath("//@*[starts-with(name(), 'on')]") and not page.xpath("//script[not(@src)]")
    assert not [url for url in page.xpath("//@src | //link/@href | //*[local-name()='use']/@href") if "//" in url]
    identifiers = page.xpath("//@id")
    assert len(identifiers) == len(set(identifiers))
    for form in page.xpath("//form"):
        is_post = form.get("method", "get").lower() == "post"
        assert bool(form.xpath(".//input[@name='csrfmiddlewaretoken']")) == is_post, "a token belongs to each POST"
        is_somebodys = bool(page.xpath("//form[@action='/sign-out']"))
        assert form.xpath(".//input[@name='drawn_in']") or not (is_post and is_somebodys), "and its workspace"


HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
POLICY = {
    "default-src": "'none'",
    **dict.fromkeys(("script-src", "style-src", "font-src", "connect-src", "form-action"), "'self'"),
    "img-src": "'self' data:",
    **dict.fromkeys(("base-uri", "object-src", "frame-ancestors"), "'none'"),
}
