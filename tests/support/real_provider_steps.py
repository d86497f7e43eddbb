"""An owner's and a browser's steps at the running service and at identity providers that we did not write."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from playwright.sync_api import Page, Request, Route

from accounts.models import SignIn
from tests.support.cast import Actor
from tests.support.dns_server import DnsServer
from tests.support.oauth import CHALLENGED, CLIENT_STATE, VERIFIER
from tests.support.race import call
from tests.support.real_providers import RealProvider

TRADE = """async ([api, body]) => {
    const headers = {"Content-Type": "application/json"};
    const asked = {method: "POST", headers, body: JSON.stringify(body)};
    const traded = await fetch(`${api}/api/v1/auth/sso/exchange`, asked);
    const pair = await traded.json();
    const bearer = {headers: {Authorization: `Bearer ${pair.access_token}`}};
    const fences = await fetch(`${api}/api/v1/geofences/`, bearer);
    return {status: traded.status, pair, fences: fences.status};
}"""
POST = """([url, answer]) => {
    const form = Object.assign(document.createElement("form"), {method: "post", action: url});
    for (const [name, value] of Object.entries(answer)) {
        form.append(Object.assign(document.createElement("input"), {type: "hidden", name, value}));
    }
    document.body.append(form);
    form.submit();
}"""
SIGNED: dict[str, dict[str, Any]] = {
    "both-signed": {},
    "assertion-signed": {"signs_response": False},
    "response-signed": {"signs_assertion": False},
}


class Owner:
    """Alice at the API of the running service."""

    def __init__(self, api: str, alice: Actor) -> None:
        self.api, self.token = api, alice.pair.access_token

    def ask(self, method: str, path: str, body: Any = None, expected: int = 200) -> Any:
        answer = call(self.api, method, f"/api/v1/{path}", body, {"Authorization": f"Bearer {self.token}"})
        assert answer.status == expected, (path, answer)
        return answer.body

    def prove(self, dns: DnsServer, domain: str = "acme.test") -> None:
        claimed = self.ask("POST", "workspaces/domains", {"domain": domain}, 201)
        dns.records[claimed["dns_name"]] = [claimed["dns_value"]]
        assert self.ask("POST", f"workspaces/domains/{claimed['id']}/verify")["status"] == "proven"

    def import_metadata(self, provider: RealProvider, **others: Any) -> Any:
        return self.ask("POST", "workspaces/saml-config/metadata", {"xml": provider.metadata().decode(), **others})

    def patch(self, **fields: Any) -> Any:
        return self.ask("PATCH", "workspaces/saml-config", fields)

    def last_attempt(self) -> Any:
        return self.ask("GET", "workspaces/saml-config/attempts?limit=1")["attempts"][0]


def read_ours(api: str, provider: RealProvider) -> None:
    """Let the provider's administrator fetch our metadata (anew)."""
    provider.fetch(f"{api}/api/v1/auth/saml/acme/metadata")


def leave(page: Page, api: str, app: str) -> None:
    """Begin at the app's page, and be sent to the provider."""
    page.goto(app)
    page.goto(f"{api}/api/v1/auth/saml/acme/initiate?{urlencode({**CHALLENGED, 'next': f'{app}/signed-in'})}")


def arrive(page: Page, app: str) -> dict[str, str]:
    """Return what the app's page is told when the browser is back."""
    page.wait_for_url(f"{app}/signed-in?*")
    return dict(parse_qsl(urlsplit(page.url).query))


def trade(page: Page, api: str, code: str) -> Any:
    return page.evaluate(TRADE, [api, {"code": code, "code_verifier": VERIFIER, "state": CLIENT_STATE}])


def keep_answer(page: Page, api: str, *, deliver: bool) -> list[tuple[str, dict[str, str]]]:
    """Return the list that will hold what the provider lets this page post to us, and whether it gets here."""
    kept: list[tuple[str, dict[str, str]]] = []

    def on_post(route: Route, request: Request) -> None:
        kept.append((request.url, dict(parse_qsl(request.post_data or "", keep_blank_values=True))))
        route.continue_() if deliver else route.fulfill(body="<p>kept back", content_type="text/html")

    page.route(f"{api}/api/v1/auth/saml/acme/acs", on_post)
    return kept


def post(page: Page, url: str, answer: dict[str, str]) -> tuple[int, str]:
    """Post an answer across sites from the page where the browser is; return the status and the page."""
    with page.expect_response(url) as response:
        page.evaluate(POST, [url, answer])
    page.wait_for_load_state()
    return response.value.status, page.inner_text("main")


def sign_ins_of_bob() -> list[tuple[str, str]]:
    """Return method and workspace of those that the identity provider has vouched for."""
    return list(SignIn.objects.exclude(method="password").values_list("method", "workspace__slug"))
