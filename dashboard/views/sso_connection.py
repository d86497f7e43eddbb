"""Settings / Single sign-on: what a connection says, the serving one and the staged one alike: its metadata, its
addresses by hand, its settings, its certificates.
"""

from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from rest_framework.exceptions import ValidationError

from dashboard.pages import Form, validated
from dashboard.seen import at_fields, read_seen, seen_field
from dashboard.sso_forms import (
    MAPPED,
    OF_THE_WORKSPACE,
    PRESET_NAMES,
    ROLES,
    SWITCHES,
    by_field,
    first_fields,
    metadata_body,
    of_file,
    preset_of,
    settings_body,
    settings_now,
    settings_of,
)
from dashboard.sso_path import certificates_of
from dashboard.views.sso import PLACE, SsoPage
from spatialflow.edited import EditedMeanwhile, left_as_seen
from sso import saml_certificates, saml_config
from sso.models import IdentityProvider
from sso.saml.keys import get_certificate, next_certificate
from sso.saml_meant import AnotherConnection, ServesAlready, refuse_others
from sso.saml_metadata_import import import_metadata, read_again
from sso.serializers.saml_config import (
    CertificateInSerializer,
    MetadataInSerializer,
    SAMLConfigPatchSerializer,
    StagedConfigInSerializer,
    StagedConfigPatchSerializer,
)

State = IdentityProvider.State
SERVING, STAGED = State.SERVING, State.STAGED


class ConnectionPage(SsoPage):
    """Base of the pages about one connection, the serving one unless `state` says otherwise. `needs_one`: there has to
    be one. Whoever comes to type here proves first who they are, not afterwards. The form names the connection that it
    showed, or says that there was none: it changes no other one.
    """

    needs_fresh = True
    outside = (AnotherConnection, ServesAlready)
    state: ClassVar[str] = SERVING
    needs_one: ClassVar[bool] = True
    fields: ClassVar[dict[str, str]] = {}  # what the API's names are called in the form, where otherwise

    @property
    def is_staged(self) -> bool:
        return self.state == STAGED

    @property
    def base(self) -> str:
        return f"{PLACE}/staged" if self.is_staged else f"{PLACE}/connection"

    @property
    def back(self) -> str:
        return self.base if self.is_staged else PLACE

    def find(self, request: HttpRequest) -> IdentityProvider | None:
        """Return the connection, if there is one. Raises `NotFound` where there has to be."""
        if self.needs_one:
            return saml_config.find(request.auth, self.state)
        return saml_config.find_all(request.auth).get(self.state)

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        provider = self.find(request)
        form = form or Form(self.first_values(request, provider))
        place = {"base": self.base, "back": self.back, "is_staged": self.is_staged}
        seen = seen_field(request, form, status, self.now(provider), self.fields) if provider else ""
        return super().show(request, form, status, provider=provider, seen=seen, **place)

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        meant = request.POST.get("connection", "")
        # Asked again under the lock; asked here, nothing is fetched or looked for in vain.
        refuse_others(request.auth.workspace_id, self.state, meant)
        return self.carry_out(request, meant)

    def carry_out(self, request: HttpRequest, meant: str) -> HttpResponse:
        """Do what the form says, to the connection with this id or to none. Raises what `refuse_others` raises."""
        raise NotImplementedError

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return kwargs

    def first_values(self, request: HttpRequest, provider: IdentityProvider | None) -> dict[str, Any]:
        return {}

    def now(self, provider: IdentityProvider) -> dict[str, Any]:
        """Return what the form changes of the connection, as it is now."""
        return {}

    def new_fields(self, request: HttpRequest) -> dict[str, Any]:
        """Return what a connection begins with that is not there yet; a staged one takes over what serves."""
        found = saml_config.find_all(request.auth)
        if self.state in found:
            return {}
        return {} if self.is_staged and SERVING in found else first_fields(preset_of(request.POST.get("preset", "")))


class MetadataPage(ConnectionPage):
    """Make or change the connection by its provider's metadata: its address, which is read daily, a file or text."""

    needs_one = False
    template = "dashboard/sso/metadata.html"
    title = "Enter your identity provider's metadata"

    def first_values(self, request: HttpRequest, provider: IdentityProvider | None) -> dict[str, Any]:
        return {"preset": preset_of(request.GET.get("at", provider.preset if provider else ""))}

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {**kwargs, "presets": PRESET_NAMES}

    def carry_out(self, request: HttpRequest, meant: str) -> HttpResponse:
        file = request.FILES.get("file")
        body = {**metadata_body(request.POST, file), "staged": self.is_staged}
        try:
            read = validated(MetadataInSerializer, body)
            _, changes = import_metadata(request, meant=meant, **read, **self.new_fields(request))
        except ValidationError as refusal:
            raise (of_file(refusal) if file else refusal) from None
        messages.success(request, _told(changes))
        return redirect(self.back)


class RereadPage(ConnectionPage):
    """Read the metadata again from its address, now."""

    template = "dashboard/sso/reread.html"
    title = "Read the metadata again"

    def carry_out(self, request: HttpRequest, meant: str) -> HttpResponse:
        messages.success(request, _told(read_again(request, self.state, meant)))
        return redirect(self.back)


def _told(changes: dict[str, Any]) -> str:
    return "The metadata is read and taken over." if changes else "The metadata is read: nothing has changed."


class ByHandPage(ConnectionPage):
    """Make or change the connection by its entity ID, its sign-in address and its certificates."""

    needs_one = False
    template = "dashboard/sso/by_hand.html"
    title = "Enter it by hand"
    fields = {"certificates": "certificate"}

    def first_values(self, request: HttpRequest, provider: IdentityProvider | None) -> dict[str, Any]:
        if provider is None:
            return {"preset": preset_of(request.GET.get("at", ""))}
        pem = "".join(provider.certificates)
        return {"entity_id": provider.entity_id, "sso_url": provider.sso_url, "certificate": pem}

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {**kwargs, "presets": PRESET_NAMES}

    def now(self, provider: IdentityProvider) -> dict[str, Any]:
        return {name: getattr(provider, name) for name in saml_config.CORE}

    def carry_out(self, request: HttpRequest, meant: str) -> HttpResponse:
        fields, provider = validated(StagedConfigInSerializer, request.POST), self.find(request)
        if provider is None:
            saml_config.put(request, {**fields, **self.new_fields(request)}, self.state, meant=meant)
        else:
            seen = read_seen(request.POST, self.now(provider))
            changed = {name: fields[name] for name in fields.keys() - left_as_seen(seen, fields)}
            try:
                saml_config.put(request, changed, self.state, seen, meant)
            except EditedMeanwhile as refusal:
                raise at_fields(refusal, self.fields) from None
        messages.success(request, "The connection is saved.")
        return redirect(self.back)


class SettingsPage(ConnectionPage):
    """What the provider's attributes mean, who becomes a member, and the switches."""

    template = "dashboard/sso/settings.html"
    title = "Settings of the connection"
    fields = {"attribute_mapping": "map_email"}

    def first_values(self, request: HttpRequest, provider: IdentityProvider | None) -> dict[str, Any]:
        return settings_of(provider) if provider else {}

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {
            **kwargs,
            "presets": PRESET_NAMES,
            "roles": ROLES,
            "mapped": [(f"map_{name}", label) for name, label in MAPPED],
            "switches": SWITCHES if self.is_staged else [*SWITCHES, OF_THE_WORKSPACE],
            "own_certificate": get_certificate(kwargs["provider"].workspace),
            "next_certificate": next_certificate(kwargs["provider"].workspace),
        }

    def now(self, provider: IdentityProvider) -> dict[str, Any]:
        return settings_now(provider)

    def carry_out(self, request: HttpRequest, meant: str) -> HttpResponse:
        seen = read_seen(request.POST, self.now(saml_config.find(request.auth, self.state)))
        serializer = StagedConfigPatchSerializer if self.is_staged else SAMLConfigPatchSerializer
        try:
            changes = validated(serializer, settings_body(request.POST, seen))
            saml_config.patch(request, changes, self.state, seen, meant)
        except ValidationError as refusal:
            raise by_field(refusal) from None
        except EditedMeanwhile as refusal:
            raise at_fields(refusal, self.fields) from None
        messages.success(request, "The settings are saved.")
        return redirect(self.back)


class CertificatesPage(ConnectionPage):
    """The provider's certificates: how long each lasts, a new one beside them, an old one taken away."""

    template = "dashboard/sso/certificates.html"
    title = "Certificates"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        provider = kwargs["provider"]
        stays = not self.is_staged and provider.workspace.requires_sso and not saml_config.is_recovering(request)
        return {**kwargs, "certificates": certificates_of(provider), "stays": stays}

    def carry_out(self, request: HttpRequest, meant: str) -> HttpResponse:
        doomed = request.POST.get("remove")
        if doomed is not None:
            saml_certificates.remove(request, doomed, self.state, meant)
        else:
            read = validated(CertificateInSerializer, request.POST)
            saml_certificates.add(request, read["certificate"], self.state, meant)
        messages.success(request, f"The certificate counts {'from now on' if doomed is None else 'no more'}.")
        return redirect(f"{self.base}/certificates")
