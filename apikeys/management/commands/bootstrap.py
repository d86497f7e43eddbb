"""Make a workspace with a verified owner and a first API key: the first step of every installation."""

import json
import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_slug
from django.db import transaction
from django.utils import timezone

from accounts.emails import canonical_email
from accounts.models import Membership, User, Workspace
from accounts.scopes import Role
from apikeys.models import ApiKey


class Command(BaseCommand):
    help = (
        "Create a workspace, its verified owner and an API key that reads and writes geofences. Idempotent: what "
        "exists is left as it is, and `password` and `api_key` are null when nothing new was made."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workspace-slug", required=True)
        parser.add_argument("--workspace-name", required=True)
        parser.add_argument("--plan", choices=list(settings.PLAN_LIMITS), default="free")
        parser.add_argument("--email", required=True)
        parser.add_argument("--password", help="The new owner's password; without it a random one is made and printed.")
        parser.add_argument(
            "--new-key", action="store_true", help="Make another API key although the workspace exists."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object instead of lines.")

    def handle(self, **options: Any) -> None:
        try:
            email = canonical_email(options["email"])
            validate_slug(options["workspace_slug"])
        except ValidationError as error:
            raise CommandError(error.messages[0]) from None
        with transaction.atomic():
            result = self.bootstrap(email, options)
        lines = (
            json.dumps(result) if options["json"] else "\n".join(f"{name}: {value}" for name, value in result.items())
        )
        self.stdout.write(lines)

    def bootstrap(self, email: str, options: dict[str, Any]) -> dict[str, str | None]:
        workspace, is_new = Workspace.objects.get_or_create(
            slug=options["workspace_slug"], defaults={"name": options["workspace_name"], "plan": options["plan"]}
        )
        user = User.objects.filter(email=email).first()
        password = None
        if user is None:
            password = options["password"] or secrets.token_urlsafe(15)
            self.refuse_bad_password(password, email)
            user = User.objects.create_user(email, password, email_verified_at=timezone.now(), last_workspace=workspace)
        Membership.objects.get_or_create(user=user, workspace=workspace, defaults={"role": Role.OWNER})
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

    @staticmethod
    def refuse_bad_password(password: str, email: str) -> None:
        try:
            validate_password(password, User(email=email))
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
