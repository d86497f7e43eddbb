"""Settings / Single sign-on for owners: the way in steps, what each page says and refuses, and whom it keeps out."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Workspace, WorkspaceDomain
from accounts.throttles import DOMAIN_CHECKS, RECOVERY_BY_ADDRESS
from dashboard.session import FRESH_FOR
from sso.models import IdentityProvider, SamlAttempt
from sso.saml_presets import PRESETS
from tests.support.cast import Actor
from tests.support.dns_server import DnsServer
from tests.support.mails import delivered
from tests.support.pages import age_session, fill_in, signed_in
from tests.support.saml_idp import certificate, fingerprint
from tests.support.saml_setup import ENTITY, SSO_URL, entity
from tests.support.sso_history import a_domain, an_attempt, connected, shown

pytest_plugins = ["tests.support.dns_fixtures"]

PLACE = "/settings/sso"
State = IdentityProvider.State
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def owner(alice: Actor) -> Client:
    return signed_in(alice)


def text_of(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content
    return str(answer.content.decode())


def serving() -> IdentityProvider:
    return IdentityProvider.objects.get(state=State.SERVING)


def connect(owner: Client, preset: str = "okta") -> None:
    answer = owner.post(f"{PLACE}/connection/metadata", {"preset": preset, "xml": entity()})
    assert answer["Location"] == PLACE, answer.content


def next_step(owner: Client) -> str:
    page = text_of(owner.get(PLACE))
    return page.split('aria-current="step"')[1].split("<h3>")[1].split("<")[0].strip() if "step" in page else ""


def test_the_way_begins_with_the_addresses_to_copy(owner: Client, acme: Workspace):
    page = text_of(owner.get(PLACE))
    assert "Not set up" in page and "Six steps" in page
    assert next_step(owner) == "Tell your identity provider about this service"

    for name, preset in PRESETS.items():
        page = text_of(owner.get(f"{PLACE}/provider?at={name}"))
        assert f'<a href="{PLACE}/provider?at={name}" aria-current="page">{preset.display_name}</a>' in page
        assert "/api/v1/auth/saml/acme/acs</code>" in page and "/api/v1/auth/saml/acme/metadata</code>" in page
        assert "acs_url" not in page and "entity_id" not in page
        assert f"{PLACE}/connection/metadata?at={name}" in page


def test_metadata_makes_a_connection_that_signs_nobody_in_yet(owner: Client):
    connect(owner)

    made = serving()
    assert (made.entity_id, made.sso_url, made.certificates) == (ENTITY, SSO_URL, [certificate("idp")])
    assert (made.preset, made.attribute_mapping) == ("okta", PRESETS["okta"].attribute_mapping)
    assert not made.is_enabled and made.tested_at is None
    assert next_step(owner) == "Prove that your domain is yours"


def test_metadata_once_more_changes_the_core_and_nothing_else(owner: Client):
    connect(owner)
    IdentityProvider.objects.update(is_enabled=True, default_role="manager")

    answer = owner.post(f"{PLACE}/connection/metadata", {"xml": entity(), **shown()}, follow=True)

    assert "nothing has changed" in text_of(answer)
    assert (serving().preset, serving().is_enabled, serving().default_role) == ("okta", True, "manager")


def test_by_hand_does_the_same(owner: Client):
    form = {"preset": "custom", "entity_id": ENTITY, "sso_url": SSO_URL, "certificate": certificate("idp")}
    assert owner.post(f"{PLACE}/connection/by-hand", form)["Location"] == PLACE
    assert (serving().entity_id, serving().is_enabled) == (ENTITY, False)

    wrong = {**form, **shown(), "sso_url": "javascript:alert(1)", "certificate": "x"}
    answer = fill_in(owner, f"{PLACE}/connection/by-hand", wrong)

    page = text_of(answer, 422)
    assert 'id="id_sso_url-errors"' in page and 'id="id_certificate-errors"' in page and ENTITY in page
    assert serving().sso_url == SSO_URL


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "xml"),
        ({"xml": "<nonsense"}, "xml"),
        ({"url": "http://idp.test/"}, "url"),
        ({"url": "https://[::1]/"}, "url"),
    ],
)
def test_metadata_that_cannot_be_used_is_told_next_to_its_field(owner: Client, form: dict[str, str], field: str):
    page = text_of(owner.post(f"{PLACE}/connection/metadata", {"preset": "okta", **form}), 422)

    assert f'id="id_{field}-errors"' in page
    assert not IdentityProvider.objects.exists()


def test_a_domain_is_claimed_checked_and_proven(owner: Client, dns: DnsServer):
    page = text_of(owner.post(f"{PLACE}/domains", {"domain": "Acme.test"}, follow=True))
    claim = WorkspaceDomain.objects.get()
    assert claim.dns_name in page and claim.dns_value in page and "Not proven yet" in page
    address = f"{PLACE}/domains/{claim.id}"

    dns.records[claim.dns_name] = [SCRIPT]
    page = text_of(owner.post(address, {"act": "check"}, follow=True))
    assert "none says what it must" in page and "&lt;script&gt;" in page and SCRIPT not in page

    dns.records[claim.dns_name] = [claim.dns_value]
    page = text_of(owner.post(address, {"act": "check"}, follow=True))
    assert "the domain is proven" in page and WorkspaceDomain.objects.proven().count() == 1

    assert owner.post(f"{address}/remove")["Location"] == f"{PLACE}/domains"
    assert not WorkspaceDomain.objects.exists()


def test_a_domain_of_everybody_is_refused_next_to_the_field(owner: Client):
    page = text_of(owner.post(f"{PLACE}/domains", {"domain": "gmail.com"}), 422)

    assert "Enter a domain of your own." in page and 'id="id_domain-errors"' in page


def test_the_main_domain_can_be_another_one(owner: Client, alice: Actor):
    chosen = a_domain(alice)

    owner.post(f"{PLACE}/domains/{chosen}", {"act": "primary"})

    assert [claim.id for claim in WorkspaceDomain.objects.filter(is_primary=True)] == [chosen]


def test_checks_are_limited_as_in_the_api(owner: Client, dns: DnsServer, alice: Actor):
    address = f"{PLACE}/domains/{a_domain(alice)}"
    for _ in range(int(DOMAIN_CHECKS.rate.split("/")[0])):
        assert owner.post(address, {"act": "check"}).status_code == 302

    answer = owner.post(address, {"act": "check"})

    assert "That was too often. Wait" in text_of(answer, 429) and int(answer["Retry-After"]) > 0


def test_it_is_switched_on_required_and_lifted_again(owner: Client, alice: Actor):
    connected(alice)
    IdentityProvider.objects.update(is_enabled=False)
    for leaf, field, expected in (("enable", "is_enabled", True), ("disable", "is_enabled", False)):
        assert fill_in(owner, f"{PLACE}/{leaf}")["Location"] == PLACE
        assert getattr(serving(), field) is expected
    assert "The connection is switched off. Switch it on first." in text_of(fill_in(owner, f"{PLACE}/require"), 409)

    fill_in(owner, f"{PLACE}/enable")
    page = text_of(owner.get(f"{PLACE}/require"))
    assert f"You are among them ({alice.user.email})" in page
    alice.user.email = "alice@elsewhere.test"  # so that her own sign-in goes on
    alice.user.save()
    fill_in(owner, f"{PLACE}/require", {"api_keys": "refused"})

    acme = Workspace.objects.get()
    assert acme.requires_sso and acme.refuses_keys_under_sso
    assert "Required" in text_of(owner.get(PLACE))
    for leaf in ("disable", "delete"):
        assert "stop requiring SSO first" in text_of(fill_in(owner, f"{PLACE}/{leaf}"), 409)
    fill_in(owner, f"{PLACE}/lift")
    assert not Workspace.objects.get().requires_sso


def test_what_is_not_tested_is_not_required(owner: Client, alice: Actor):
    connected(alice)
    IdentityProvider.objects.update(tested_at=None)

    page = text_of(fill_in(owner, f"{PLACE}/require"), 409)

    assert "Test it first" in page and "/api/v1" not in page.split("<main")[1]
    assert not Workspace.objects.get().requires_sso


def test_a_staged_connection_is_promoted_rolled_back_and_discarded(owner: Client, alice: Actor):
    connected(alice)
    names = {provider.state: provider.entity_id for provider in IdentityProvider.objects.all()}
    assert "Test it first" in text_of(fill_in(owner, f"{PLACE}/staged/promote"), 409)
    IdentityProvider.objects.filter(state=State.STAGED).update(tested_at=serving().tested_at)

    fill_in(owner, f"{PLACE}/staged/promote")
    assert serving().entity_id == names["staged"]
    fill_in(owner, f"{PLACE}/roll-back")
    assert serving().entity_id == names["serving"]

    assert owner.post(f"{PLACE}/staged/metadata", {"xml": entity()})["Location"] == f"{PLACE}/staged"
    staged = IdentityProvider.objects.get(state=State.STAGED)
    assert (staged.entity_id, staged.preset) == (ENTITY, serving().preset)
    fill_in(owner, f"{PLACE}/staged/discard")
    assert not IdentityProvider.objects.filter(state=State.STAGED).exists()
    fill_in(owner, f"{PLACE}/delete")
    assert not IdentityProvider.objects.exists()


def test_settings_are_read_as_the_api_reads_them(owner: Client, alice: Actor):
    connected(alice)
    form = {"preset": "okta", "default_role": "field_worker", "map_email": "mail", "creates_members": "true"} | shown()

    assert fill_in(owner, f"{PLACE}/connection/settings", form)["Location"] == PLACE

    changed = serving()
    assert (changed.attribute_mapping, changed.default_role) == ({"email": "mail"}, "field_worker")
    assert changed.creates_members and not changed.requires_encryption and changed.tested_at is None
    assert changed.metadata_url == ""

    fill_in(owner, f"{PLACE}/connection/settings", {**form, "preset": "entra"})
    assert serving().attribute_mapping == PRESETS["entra"].attribute_mapping
    page = text_of(
        fill_in(owner, f"{PLACE}/connection/settings", {**form, "default_role": "owner", "map_name": "\x01"}), 422
    )
    assert 'id="id_default_role-errors"' in page and 'id="id_map_email-errors"' in page
    assert serving().default_role == "field_worker"


def test_certificates_come_and_go(owner: Client, alice: Actor):
    connected(alice)
    address = f"{PLACE}/connection/certificates"
    old = serving().certificates[0]
    assert "Ends in 19 days" in text_of(owner.get(address)) and "Add the next one" in text_of(owner.get(PLACE))

    owner.post(address, {"certificate": certificate("next"), **shown()})
    assert serving().certificates == [old, certificate("next")]
    assert "Add the next one" not in text_of(owner.get(PLACE))
    owner.post(address, {"remove": fingerprint(old), **shown()})
    assert serving().certificates == [certificate("next")]

    page = text_of(owner.post(address, {"certificate": "-----BEGIN PRIVATE KEY-----", **shown()}), 422)
    assert 'id="id_certificate-errors"' in page and "private key" in page
    text_of(owner.post(address, {"remove": fingerprint(certificate("next")), **shown()}), 422)
    assert serving().certificates == [certificate("next")]


def test_an_attempt_is_shown_check_by_check(owner: Client, alice: Actor):
    attempt = SamlAttempt.objects.get(id=an_attempt(alice))
    attempt.checks = [{"check": SCRIPT, "passed": False, "expected": SCRIPT, "received": SCRIPT}]
    attempt.attributes, attempt.failed_check = {SCRIPT: [SCRIPT]}, SCRIPT
    attempt.save()

    for address in (f"{PLACE}/attempts", f"{PLACE}/attempts/{attempt.id}", PLACE):
        page = text_of(owner.get(address))
        assert attempt.reference in page and "&lt;script&gt;" in page and SCRIPT not in page
    assert owner.get(f"{PLACE}/tested?attempt={attempt.id}")["Location"] == f"{PLACE}/attempts/{attempt.id}"
    assert attempt.reference not in text_of(owner.get(f"{PLACE}/attempts?is_test=true"))
    assert owner.get(f"{PLACE}/attempts?cursor=x").status_code == 422


def test_many_attempts_are_read_page_by_page(owner: Client, alice: Actor):
    connected(alice)
    SamlAttempt.objects.bulk_create(SamlAttempt(workspace=alice.workspace) for _ in range(60))

    first = text_of(owner.get(f"{PLACE}/attempts"))
    older = first.split('">Older ones')[0].rsplit('href="', 1)[1].replace("&amp;", "&")
    second = text_of(owner.get(older))

    assert (first.count("<tr>"), second.count("<tr>")) == (51, 12)


def test_a_test_leads_on_to_the_provider_once(owner: Client, alice: Actor):
    connected(alice)

    page = text_of(fill_in(owner, f"{PLACE}/connection/test"))

    address = page.split('content="0;url=')[1].split('"')[0]
    path = address.split("/api/", 1)[1].replace("&amp;", "&")
    assert owner.get(f"/api/{path}")["Location"].startswith(serving().sso_url)
    assert owner.get(f"/api/{path}").status_code == 400


def test_a_recovery_link_is_mailed_while_it_is_required(owner: Client, alice: Actor):
    connected(alice)
    assert "so no link is mailed now" in text_of(owner.get(f"{PLACE}/recovery"))
    alice.user.email = "alice@elsewhere.test"
    alice.user.save()
    Workspace.objects.update(requires_sso=True)
    assert "Send me a recovery link" in text_of(owner.get(f"{PLACE}/recovery"))

    for _ in range(int(RECOVERY_BY_ADDRESS.rate.split("/")[0])):
        assert owner.post(f"{PLACE}/recovery").status_code == 302
    assert owner.post(f"{PLACE}/recovery").status_code == 429
    assert "sso-recovery?token=" in "".join(mail.body for mail in delivered())


def test_a_small_plan_is_told_what_to_do(owner: Client, alice: Actor):
    connected(alice)
    Workspace.objects.update(plan="team")

    assert "is on the plan team" in text_of(owner.get(PLACE))
    page = text_of(owner.post(f"{PLACE}/connection/metadata", {"xml": entity(), **shown()}), 403)
    assert "Ask whoever runs this service for one of them." in page
    assert text_of(fill_in(owner, f"{PLACE}/connection/test"), 403)
    assert fill_in(owner, f"{PLACE}/disable").status_code == 302


CHANGES = [
    *(f"/{which}/{leaf}" for which in ("connection", "staged") for leaf in ("metadata", "reread", "by-hand")),
    *(f"/{which}/{leaf}" for which in ("connection", "staged") for leaf in ("settings", "certificates", "test")),
    *("/enable", "/disable", "/require", "/lift", "/delete", "/staged/promote", "/staged/discard", "/roll-back"),
    *("/domains", "/recovery"),
]


@pytest.mark.parametrize("leaf", CHANGES)
def test_no_change_without_a_fresh_proof_nor_by_others(owner: Client, alice: Actor, bob: Actor, leaf: str):
    connected(alice)
    before = everything()
    age_session(owner, FRESH_FOR + 1)

    stale = owner.post(f"{PLACE}{leaf}", {"domain": "new.test", "xml": entity()})
    by_bob = signed_in(bob).post(f"{PLACE}{leaf}", {"domain": "new.test", "xml": entity()})
    forged = Client(enforce_csrf_checks=True)
    forged.cookies = signed_in(alice).cookies

    assert stale["Location"].startswith("/confirm?next=")
    assert "Only owners of this workspace" in text_of(by_bob, 403)
    assert forged.post(f"{PLACE}{leaf}").status_code == 403
    assert everything() == before


def everything() -> Any:
    rows: list[Callable[[], Any]] = [IdentityProvider.objects.values, WorkspaceDomain.objects.values]
    return [sorted(map(str, read())) for read in rows], Workspace.objects.values_list("requires_sso").get()


def test_a_stranger_sees_and_changes_nothing(alice: Actor, mallory: Actor):
    stranger = signed_in(mallory)
    domain, attempt = a_domain(alice), an_attempt(alice)

    for leaf in (f"/domains/{domain}", f"/domains/{domain}/remove"):
        assert stranger.get(f"{PLACE}{leaf}").status_code == 404
        assert stranger.post(f"{PLACE}{leaf}", {"act": "primary"}).status_code == 404
    for leaf in (f"/attempts/{attempt}", f"/tested?attempt={attempt}", "/delete", "/staged/promote"):
        assert stranger.get(f"{PLACE}{leaf}").status_code == 404
    assert "acme" not in text_of(stranger.get(PLACE)) and "acme" not in text_of(stranger.get(f"{PLACE}/attempts"))
    assert WorkspaceDomain.objects.filter(id=domain).exists()


def test_names_are_shown_as_text(owner: Client, alice: Actor):
    connected(alice)
    Workspace.objects.filter(slug="acme").update(name=SCRIPT)
    IdentityProvider.objects.update(preset="custom", entity_id=SCRIPT, sso_url=SCRIPT, metadata_problem=SCRIPT)

    for leaf in ("", "/staged", "/enable", "/require", "/delete", "/connection/by-hand", "/connection/test"):
        page = text_of(owner.get(f"{PLACE}{leaf}"))
        assert "&lt;script&gt;" in page and SCRIPT not in page, leaf


def test_owners_alone_find_the_way_here(owner: Client, bob: Actor):
    assert f'href="{PLACE}"' in text_of(owner.get("/settings/profile"))
    assert f'href="{PLACE}"' not in text_of(signed_in(bob).get("/settings/profile"))
