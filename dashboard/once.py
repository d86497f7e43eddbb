"""What a form carries so that it makes one thing, however often it is sent: the id of what it is to make, signed for
whoever it was drawn for. The row with that id is the proof that it was sent before; nothing else is kept.
"""

import uuid

from django.core import signing
from django.http import HttpRequest
from rest_framework import status

from accounts.principal import Principal
from spatialflow.errors import ApiError

SALT = "dashboard.once"


class FormTooOld(ApiError):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "This form is too old. Open its page again; nothing has changed."
    default_code = "form_too_old"


def new_once(request: HttpRequest) -> str:
    """Return the hidden field of a form that makes something."""
    return signing.dumps(str(uuid.uuid4()), salt=_salt(request.auth))


def read_once(request: HttpRequest) -> uuid.UUID:
    """Return the id of what the form is to make. Raises `FormTooOld` where it was drawn for somebody else, for another
    workspace, or not by us.
    """
    try:
        return uuid.UUID(signing.loads(request.POST.get("once", ""), salt=_salt(request.auth)))
    except signing.BadSignature as error:
        raise FormTooOld() from error


def _salt(principal: Principal) -> str:
    return f"{SALT}:{principal.user_id}:{principal.workspace_id}"
