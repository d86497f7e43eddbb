"""Every page of the dashboard, with what it answers to whom; and what each must be like, whatever it shows.

A new page fails tests/test_dashboard_pages.py until it stands in PAGES. Where its address holds an id, say in IDS how
to make what it names.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from lxml import html
from social_django.models import UserSocialAuth

from tests.support.cast import Actor
from tests.support.urls import page_patterns


@dataclass(frozen=True)
class Answers:
    """The statuses of GET. `takes_old_proof`: it is tried by whoever has proven long ago who they are. `query`: what
    its address holds beside the path.
    """

    anyone: int
    member: int
    owner: int
    takes_old_proof: bool = False
    query: str = ""


OWN = Answers(302, 200, 200)  # everybody's own
KEYS = Answers(302, 403, 200)  # for whoever may make keys
FIRST = Answers(200, 200, 200)  # before one is signed in
ONLY_POST = Answers(405, 405, 405)

PAGES: dict[str, Answers] = {
    "/": Answers(200, 302, 302),
    "/confirm": Answers(302, 200, 200, takes_old_proof=True),
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
    "/workspaces": OWN,
    "/workspaces/new": OWN,
}


def linked_provider(actor: Actor) -> str:
    UserSocialAuth.objects.get_or_create(user=actor.user, provider="google", uid=str(actor.user.id))
    return "google"


# What stands in an address, by the name of the variable.
IDS: dict[str, Callable[[Actor], Any]] = {
    "provider": linked_provider,
}


def route_names() -> set[str]:
    return {route for route, _ in page_patterns()}


def fill(route: str, actor: Actor) -> str:
    """Return the address of a page, with ids of the actor's and what its query needs."""
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(IDS[found.group(1)](actor)), route)
    return path + PAGES[route].query


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
