"""The mail that invites somebody to a workspace."""

from django.core.mail import EmailMessage

from accounts.invitations import invitation_link
from accounts.mail import message
from accounts.models import Invitation
from accounts.outbox import mail


@mail("invitation")
def invitation(invitation_id: str, token: str) -> EmailMessage | None:
    """To the invited address, unless the invitation ended meanwhile."""
    pending = Invitation.objects.pending().filter(id=invitation_id, workspace__suspended_at=None)
    found = pending.select_related("workspace", "invited_by").first()
    if found is None:
        return None
    workspace = " ".join(found.workspace.name.split())  # a line break would end the subject
    inviter = found.invited_by.email if found.invited_by else "A colleague"
    return message(
        found.email,
        f"You are invited to {workspace}",
        f"{inviter} invites you to the workspace {workspace} in SpatialFlow, as {found.role.replace('_', ' ')}.",
        f"Open this link until {found.expires_at:%d %B %Y, %H:%M} UTC to accept:",
        invitation_link(found.id, token),
        "If you do not know them, ignore this mail.",
    )
