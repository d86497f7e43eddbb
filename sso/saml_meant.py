"""Which connection a caller means who looked before: what is sent twice, or from a page that is not true any more, does
not happen to another one.
"""

import uuid

from spatialflow.errors import Conflict
from sso.models import IdentityProvider

State = IdentityProvider.State


class ServesAlready(Conflict):
    default_detail = "This connection serves already. Nothing has changed now."
    default_code = "connection_serves_already"


class AnotherConnection(Conflict):
    default_detail = "Another connection is in that place by now. Nothing has changed. Look again before you decide."
    default_code = "another_connection"


def refuse_others(workspace_id: uuid.UUID, state: str, meant: str | None) -> None:
    """Raise `ServesAlready` where the connection that the caller means serves by now, `AnotherConnection` where it is
    not the one in this state: `meant` is its id, or empty where there was none. Under the lock of the workspace;
    nothing is raised where the caller does not say.
    """
    if meant is None:
        return
    states = IdentityProvider.objects.for_workspace(workspace_id).values_list("state", "id")
    found = {found_state: str(identifier) for found_state, identifier in states}
    if found.get(state, "") == meant:
        return
    if found.get(State.SERVING) == meant:
        raise ServesAlready()
    raise AnotherConnection()
