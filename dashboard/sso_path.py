"""How far a workspace has come on its way to single sign-on: the steps, which is next, and what to look after."""

from dataclasses import dataclass
from typing import Any

from accounts.models import Workspace, WorkspaceDomain
from accounts.principal import Principal
from sso import domains, saml_config
from sso.models import IdentityProvider
from sso.saml.certificates import CertificateFacts, describe
from sso.saml_plan import SAML_PLANS
from sso.saml_serving import display_name

State = IdentityProvider.State
WARNED_DAYS = 30  # before the last certificate ends, as by mail


@dataclass(frozen=True)
class Step:
    """One step of the way, as the overview shows it."""

    name: str
    text: str
    path: str
    action: str
    is_done: bool
    is_next: bool = False


@dataclass(frozen=True)
class Standing:
    """What single sign-on of a workspace is made of at this moment."""

    workspace: Workspace
    serving: IdentityProvider | None
    staged: IdentityProvider | None
    former: IdentityProvider | None
    domains: list[WorkspaceDomain]

    @property
    def plan_fits(self) -> bool:
        return self.workspace.plan in SAML_PLANS

    @property
    def proven(self) -> list[WorkspaceDomain]:
        return [claim for claim in self.domains if claim.is_proven]

    @property
    def is_on(self) -> bool:
        return self.serving is not None and self.serving.is_enabled

    @property
    def name(self) -> str:
        """What the serving connection leads to; a provider of no known product is not called after the workspace."""
        is_product = self.serving is not None and self.serving.preset != IdentityProvider.Preset.CUSTOM
        return display_name(self.serving) if self.serving and is_product else "your identity provider"

    @property
    def summary(self) -> str:
        """Who signs in by it at this moment, in one sentence."""
        if self.workspace.requires_sso:
            return "People of your domains sign in by it and by nothing else."
        if self.is_on:
            return "People of your domains can sign in by it."
        return "Nobody does before you have switched it on; test it first."


def standing_of(principal: Principal) -> Standing:
    """Return where the caller's workspace stands. Two queries, or three where it has no connection."""
    found = saml_config.find_all(principal)
    workspace = next(iter(found.values())).workspace if found else principal.get_workspace()
    serving, staged, former = (found.get(state) for state in (State.SERVING, State.STAGED, State.FORMER))
    return Standing(workspace, serving, staged, former, domains.list_domains(principal))


def steps_of(standing: Standing) -> list[Step]:
    """Return the six steps; the first that is not done is the next one."""
    steps = [*_connecting(standing), *_beginning(standing)]
    following = next((place for place, step in enumerate(steps) if not step.is_done), None)
    return [Step(**{**vars(step), "is_next": place == following}) for place, step in enumerate(steps)]


def _connecting(standing: Standing) -> list[Step]:
    serving, proven = standing.serving, standing.proven
    named = (
        f"{standing.name[0].upper()}{standing.name[1:]} is connected."
        if serving
        else "Okta, Entra ID, OneLogin, Google Workspace or another."
    )
    return [
        Step(
            "Tell your identity provider about this service",
            f"{named} Copy our addresses into its settings.",
            "/settings/sso/provider",
            "Show our addresses",
            serving is not None,
        ),
        Step(
            "Tell this service about your identity provider",
            serving.entity_id if serving else "Paste its metadata, or give the address of it.",
            "/settings/sso/connection/metadata",
            "Change it" if serving else "Enter metadata",
            serving is not None,
        ),
        Step(
            "Prove that your domain is yours",
            ", ".join(claim.domain for claim in proven) or "Enter one TXT record in its DNS. Only its people sign in.",
            "/settings/sso/domains",
            "Domains",
            bool(proven),
        ),
    ]


def _beginning(standing: Standing) -> list[Step]:
    serving, is_on = standing.serving, standing.is_on
    is_tested = serving is not None and serving.tested_at is not None
    return [
        Step(
            "Test the connection",
            "A real sign-in has passed every check."
            if is_tested
            else "A real sign-in that signs nobody in, and shows every check.",
            "/settings/sso/connection/test",
            "Test again" if is_tested else "Test",
            is_tested,
        ),
        Step(
            "Switch it on",
            "People of your domains can sign in by it." if is_on else "People of your domains may then sign in by it.",
            "/settings/sso/disable" if is_on else "/settings/sso/enable",
            "Switch off" if is_on else "Switch on",
            is_on,
        ),
        Step(
            "Require it",
            "People of your domains sign in by it and by nothing else."
            if standing.workspace.requires_sso
            else "Passwords, Google and Apple then work no more for people of your domains. You can do without.",
            "/settings/sso/lift" if standing.workspace.requires_sso else "/settings/sso/require",
            "Stop requiring" if standing.workspace.requires_sso else "Require",
            standing.workspace.requires_sso,
        ),
    ]


def certificates_of(provider: IdentityProvider) -> list[CertificateFacts]:
    return [describe(pem) for pem in provider.certificates]


def warning_of(provider: IdentityProvider | None) -> dict[str, Any] | None:
    """Return how long a connection's last certificate lasts, where that is not long any more."""
    if provider is None or not provider.certificates:
        return None
    last = max(certificates_of(provider), key=lambda facts: facts.not_after)
    return {"ends_at": last.not_after, "is_over": last.is_expired} if last.expires_in_days < WARNED_DAYS else None
