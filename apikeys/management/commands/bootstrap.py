"""Make a workspace with a verified owner and a first API key: the first step of every installation."""

import json
import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts.emails import canonical_email
from accounts.models import Membership, User, Workspace
from accounts.scopes import Role
from apikeys.models import ApiKey


class Command(BaseCommand):
    help = (
        "Create a workspace, its verified owner and an API key that reads and writes geofences. Idempotent: a "
        "workspace that exists keeps its name and plan, a person their password; you vouch for the address, so it "
        "counts as verified and its person becomes an owner. `password` and `api_key` are null unless they are new."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workspace-slug", required=True)
        parser.add_argument("--workspace-name", required=True)
        parser.add_argument("--plan", choices=list(settings.PLAN_LIMITS), help="Of a new workspace; else free.")
        parser.add_argument("--email", required=True)
        parser.add_argument("--password", help="The new owner's password; without it a random one is made and printed.")
        parser.add_argument(
            "--new-key", action="store_true", help="Make another API key although the workspace exists."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object instead of lines.")

    def handle(self, **options: Any) -> None:
        try:
            email = canonical_email(options["email"])
        except ValidationError as error:
            raise CommandError(error.messages[0]) from None
        try:
            with transaction.atomic():
                result = self.bootstrap(email, options)
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used: {' '.join(str(error).split())}") from None
        lines = (
            json.dumps(result) if options["json"] else "\n".join(f"{name}: {value}" for name, value in result.items())
        )
        self.stdout.write(lines)

    def bootstrap(self, email: str, options: dict[str, Any]) -> dict[str, str | None]:
        workspace, is_new = self.workspace(options)
        user, password = self.owner(email, options["password"], workspace)
        Membership.objects.update_or_create(user=user, workspace=workspace, defaults={"role": Role.OWNER})
        raw_key = None
        if is_new or options["new_key"]:
            scopes = ["geofences:read", "geofences:write"]
            _, raw_key = ApiKey.objects.issue(workspace=workspace, created_by=user, name="Bootstrap", scopes=scopes)
        return {
            "workspace_id": str(workspace.id),
            "workspace_slug": workspace.slug,
            "user_id": str(user.id),
            "email": user.email,
            "password": password,
            "api_key": raw_key,
        }

    def workspace(self, options: dict[str, Any]) -> tuple[Workspace, bool]:
        """Return the workspace and whether it is new; says what is ignored of one that exists."""
        wanted = {"name": options["workspace_name"], "plan": options["plan"] or "free"}
        try:
            Workspace(slug=options["workspace_slug"], **wanted).clean_fields()
        except ValidationError as error:
            field, messages = next(iter(error.message_dict.items()))
            raise CommandError(f"The workspace's {field}: {messages[0]}") from None
        workspace, is_new = Workspace.objects.get_or_create(slug=options["workspace_slug"], defaults=wanted)
        if workspace.name != wanted["name"]:
            self.stderr.write(f"--workspace-name is ignored: {workspace.slug} exists and is named {workspace.name}.")
        if options["plan"] and workspace.plan != options["plan"]:
            self.stderr.write(f"--plan is ignored: {workspace.slug} exists and has the plan {workspace.plan}.")
        return workspace, is_new

    def owner(self, email: str, given_password: str | None, workspace: Workspace) -> tuple[User, str | None]:
        """Return the verified user, and the password if it was set now; says what is ignored of one who exists."""
        user = User.objects.filter(email=email).first()
        if user is None:
            password = given_password or secrets.token_urlsafe(15)
            self.refuse_bad_password(password, email)
            verified = {"email_verified_at": timezone.now(), "last_workspace": workspace}
            return User.objects.create_user(email, password, **verified), password
        if not user.is_active:
            raise CommandError(f"{email} is deactivated: activate the account first, or name another address.")
        if given_password and not user.check_password(given_password):
            self.stderr.write(f"--password is ignored: {email} exists and has another.")
        if user.email_verified_at is None:
            user.email_verified_at = timezone.now()
            user.save(update_fields=["email_verified_at"])
            # Whoever signed up first with somebody else's address would own the workspace by the password they chose.
            self.stderr.write(
                f"{email} had signed up and was unverified; unless that was you, set a new password: "
                f"manage.py changepassword {email}"
            )
        return user, None

    @staticmethod
    def refuse_bad_password(password: str, email: str) -> None:
        try:
            validate_password(password, User(email=email))
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
