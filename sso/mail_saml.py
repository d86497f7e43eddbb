"""The mails to a workspace's owners about single sign-on by its own identity provider."""

import uuid
from typing import Any

from django.core.mail import EmailMessage

from accounts.mail import message
from accounts.models import Membership
from accounts.outbox import enqueue, mail
from accounts.scopes import Role


def tell_owners(workspace_id: uuid.UUID, kind: str, **parameters: Any) -> int:
    """Ask for a mail of this kind to each active owner of a workspace, within the caller's transaction; return how
    many. The maker is given `user_id`, `workspace_id` and the parameters.
    """
    owners = Membership.objects.filter(workspace_id=workspace_id, role=Role.OWNER, user__is_active=True)
    told = list(owners.order_by("user_id").values_list("user_id", flat=True))
    for user_id in told:
        enqueue(kind, user_id=str(user_id), workspace_id=str(workspace_id), **parameters)
    return len(told)


def to_owner(user_id: str, workspace_id: str, subject: str, *paragraphs: str) -> EmailMessage | None:
    """Return the mail to somebody who owns the workspace still, `{workspace}` in it being its name; otherwise None."""
    owner = Membership.objects.filter(
        workspace_id=workspace_id, user_id=user_id, role=Role.OWNER, user__is_active=True, workspace__suspended_at=None
    )
    found = owner.select_related("user", "workspace").first()
    if found is None:
        return None
    name = " ".join(found.workspace.name.split())  # a line break would end the subject
    return message(found.user.email, *(text.replace("{workspace}", name) for text in (subject, *paragraphs)))


@mail("domain_proof_lost")
def domain_proof_lost(
    user_id: str, workspace_id: str, domain: str, dns_name: str, dns_value: str, ends_at: str
) -> EmailMessage | None:
    return to_owner(
        user_id,
        workspace_id,
        f"The proof of {domain} is gone from the DNS",
        f"The TXT record that proves that {{workspace}} owns {domain} is missing in the DNS. Enter it again:",
        f"{dns_name}\n{dns_value}",
        f"If it stays missing until {ends_at}, people with an address in {domain} cannot sign in by your identity "
        "provider any more.",
    )


@mail("domain_proof_found")
def domain_proof_found(user_id: str, workspace_id: str, domain: str) -> EmailMessage | None:
    return to_owner(
        user_id,
        workspace_id,
        f"The proof of {domain} is back",
        f"The TXT record that proves that {{workspace}} owns {domain} was found in the DNS again. There is nothing to "
        "do.",
    )


@mail("domain_suspended")
def domain_suspended(user_id: str, workspace_id: str, domain: str) -> EmailMessage | None:
    return to_owner(
        user_id,
        workspace_id,
        f"{domain} does not sign in by your identity provider any more",
        f"The TXT record that proves that {{workspace}} owns {domain} was missing in the DNS for three days. So people "
        f"with an address in {domain} do not sign in by your identity provider any more, and were signed out where "
        "they had. Where the workspace requires single sign-on, that does not hold for them now: their other ways to "
        "sign in work.",
        "Enter the record again and let it be checked (POST /api/v1/workspaces/domains/{id}/verify) to end this.",
    )


@mail("certificate_expires")
def certificate_expires(
    user_id: str, workspace_id: str, entity_id: str, expires_at: str, is_over: bool
) -> EmailMessage | None:
    when = f"expired on {expires_at}" if is_over else f"expires on {expires_at}"
    return to_owner(
        user_id,
        workspace_id,
        f"The certificate of your identity provider {when}",
        f"No certificate of {{workspace}}'s identity provider {entity_id} is valid for longer: the last one {when}. "
        "Sign-ins go on, but as soon as the provider signs with a new one, they fail until you have added that.",
        "Get the new certificate from your identity provider, and add it to the configuration (PUT "
        "/api/v1/workspaces/saml-config) beside the former one: several may be valid at once.",
    )
