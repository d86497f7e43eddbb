"""When a workspace may demand single sign-on: not before its connection has been seen to work."""

from rest_framework.request import Request

from accounts.models import Workspace
from accounts.sso_requirement import lift, require
from spatialflow.errors import Conflict
from sso.models import IdentityProvider


class ConnectionNotEnabled(Conflict):
    default_detail = "The connection is switched off. Set is_enabled before you require single sign-on."
    default_code = "connection_not_enabled"


class ConnectionNotTested(Conflict):
    default_detail = (
        "Nobody has signed in by this connection as it is now. Test it with POST /api/v1/workspaces/saml-config/test "
        "before you require single sign-on."
    )
    default_code = "connection_not_tested"


class DomainNotProven(Conflict):
    default_detail = (
        "No domain of the workspace is proven. Prove one by its DNS record before you require single sign-on."
    )
    default_code = "domain_not_proven"


def set_required(request: Request, workspace: Workspace, provider: IdentityProvider, wanted: bool) -> None:
    """Demand single sign-on of the covered people, which ends what they have signed in by another way; or stop to.

    Within a transaction that holds the workspace's row. Raises `ConnectionNotEnabled`, `ConnectionNotTested`,
    `DomainNotProven`.
    """
    if wanted == workspace.requires_sso:
        return
    if not wanted:
        lift(request)
    else:
        if not provider.is_enabled:
            raise ConnectionNotEnabled()
        if provider.tested_at is None:
            raise ConnectionNotTested()
        if not workspace.domains.proven().exists():
            raise DomainNotProven()
        require(request)
    workspace.refresh_from_db()
