"""Our own metadata, which anybody may read: it answers where an identity provider is configured."""

from accounts.models import Workspace
from spatialflow.errors import NotFound
from sso.models import IdentityProvider
from sso.saml.metadata import service_provider_metadata
from sso.saml_plan import SAML_PLANS
from sso.saml_serving import SLUG

State = IdentityProvider.State


def own_metadata(workspace_slug: str) -> bytes:
    """Return our metadata for a workspace, in XML.

    Raises `NotFound`, alike for a workspace that is not there and for one without a connection, a plan with SAML or
    the right to run at all: whether a slug is in use stays unsaid. Owners find what it holds in their configuration.
    """
    if not SLUG.fullmatch(workspace_slug):
        raise NotFound()
    workspaces = Workspace.objects.filter(slug=workspace_slug, suspended_at=None, plan__in=SAML_PLANS)
    workspace = workspaces.first()
    if workspace is None:
        raise NotFound()
    connections = IdentityProvider.objects.for_workspace(workspace.id).exclude(state=State.FORMER)
    if not connections:
        raise NotFound()
    return service_provider_metadata(workspace, connections)
