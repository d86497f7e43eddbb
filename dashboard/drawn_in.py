"""A form acts in the workspace that its person saw when they filled it in, and in no other: a second tab may have moved
the sign-in to another one since.
"""

import uuid
from typing import Any

from django.http import HttpRequest
from rest_framework import status

from accounts.models import Membership
from accounts.principal import Principal
from accounts.switching import offered
from spatialflow.errors import ApiError

FIELD = "drawn_in"


class DrawnElsewhere(ApiError):
    """Answered by a page that offers the way back, so not in the form."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This form was drawn in another workspace. Nothing has changed."
    default_code = "drawn_elsewhere"


def require_drawn_here(request: HttpRequest) -> None:
    """Raise `DrawnElsewhere` for a form of another workspace, or of none."""
    if request.POST.get(FIELD) != str(request.auth.workspace_id):
        raise DrawnElsewhere()


def both_workspaces(request: HttpRequest) -> dict[str, Any]:
    """Return the membership that the person acts by now, and the one that the form was drawn for if it is still theirs
    to enter. One query.
    """
    principal: Principal = request.auth
    mine: dict[uuid.UUID, Membership] = {membership.workspace_id: membership for membership in offered(principal)}
    drawn = next((one for one in mine.values() if str(one.workspace_id) == request.POST.get(FIELD)), None)
    return {"here": mine.get(principal.workspace_id), "there": drawn}
