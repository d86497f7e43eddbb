"""The rows of accounts."""

from accounts.models.audit import AuditEvent, AuditHead
from accounts.models.domain import WorkspaceDomain
from accounts.models.outbox import OutgoingMail
from accounts.models.sign_in import CredentialUsage, SignIn
from accounts.models.user import MailedToken, RecoveryCode, User
from accounts.models.workspace import FormerMember, Invitation, Membership, Workspace

__all__ = [
    "AuditEvent",
    "AuditHead",
    "CredentialUsage",
    "FormerMember",
    "Invitation",
    "MailedToken",
    "Membership",
    "OutgoingMail",
    "RecoveryCode",
    "SignIn",
    "User",
    "Workspace",
    "WorkspaceDomain",
]
