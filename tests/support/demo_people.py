"""Who works at the harbour, who is invited, and what the audit trail tells of it."""

from datetime import timedelta

from django.utils import timezone

from accounts.audit import Action, Person, record
from accounts.models import Invitation, Membership, User
from accounts.principal import Client
from tests.support.cast import Actor, make_user

PEOPLE = [
    ("Jonas Weber", "jonas@harbour.test", "manager", 210),
    ("Aino Virtanen", "aino@harbour.test", "field_worker", 120),
    ("Tomás Oliveira", "tomas@harbour.test", "field_worker", 33),
    ("", "night-shift@harbour.test", "member", 6),
]
# Address, role, how many days ago, and whether it was accepted or ended since.
INVITED = [
    ("li.na@harbour.test", "field_worker", 1, ""),
    ("kwame.mensah@nordkai.test", "member", 2, ""),
    ("petra@harbour.test", "owner", 12, ""),
    ("tomas@harbour.test", "field_worker", 34, "used_at"),
    ("old.partner@nordkai.test", "manager", 20, "revoked_at"),
]
PHONE = Client("198.51.100.33", "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36")
DESK = Client("203.0.113.10", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "POST", "/")


def man_harbour(owner: Actor) -> None:
    """Give the owner's workspace colleagues, invitations and events."""
    now = timezone.now()
    for name, email, role, days in PEOPLE:
        user = make_user(email, name=name, email_verified_at=now)
        joined = now - timedelta(days=days)
        Membership.objects.create(user=user, workspace=owner.workspace, role=role, created_at=joined)
    for place, (email, role, days, ended) in enumerate(INVITED):
        sent = now - timedelta(days=days, hours=2)
        Invitation.objects.create(
            workspace=owner.workspace,
            email=email,
            role=role,
            digest=bytes([place]) * 32,
            invited_by=owner.user,
            created_at=sent,
            expires_at=sent + timedelta(days=7),
            **({ended: sent + timedelta(days=1)} if ended else {}),
        )
    _tell(owner)


def _tell(owner: Actor) -> None:
    here = {"workspace_id": owner.workspace.id}
    mara = Person(owner.user.id, owner.user.email)
    colleagues = [Person(user.id, user.email) for user in User.objects.filter(email__in=[row[1] for row in PEOPLE])]
    for person in colleagues:
        record(Action.SIGNED_IN, PHONE, "Signed in.", actor=person, status_code=200, **here)
    record(Action.SIGN_IN_FAILED, PHONE, "Wrong password.", target=colleagues[0], status_code=401, **here)
    changes = {"role": {"from": "member", "to": "field_worker"}}
    record(Action.ROLE_CHANGED, DESK, "Role changed.", actor=mara, target=colleagues[1], changes=changes, **here)
    record(Action.WORKSPACE_UPDATED, DESK, "Workspace changed.", actor=mara, changes={"fields": ["name"]}, **here)
    invited = Person(email=INVITED[0][0])
    record(Action.INVITATION_CREATED, DESK, "Invitation sent.", actor=mara, target=invited, **here)
