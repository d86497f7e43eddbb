"""The addresses under which a workspace's identity provider knows this service. From the settings and the slug, never
from a request.
"""

from django.conf import settings

from accounts.models import Workspace


def entity_id(workspace: Workspace) -> str:
    """Return our entity ID for a workspace, which is also where its metadata is."""
    return _address(workspace, "metadata")


def acs_url(workspace: Workspace) -> str:
    """Return where the provider's answers are posted: the one Recipient and Destination that counts."""
    return _address(workspace, "acs")


def slo_url(workspace: Workspace) -> str:
    """Return where single logout arrives."""
    return _address(workspace, "slo")


def initiate_url(workspace: Workspace) -> str:
    """Return where a browser begins to sign in."""
    return _address(workspace, "initiate")


def _address(workspace: Workspace, leaf: str) -> str:
    return f"{settings.PUBLIC_URL}/api/v1/auth/saml/{workspace.slug}/{leaf}"
