"""The operator replaces the key of a workspace's service provider."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent
from sso.models import IdentityProvider, SamlKeyPair
from sso.saml.request import authn_request_url
from tests.support.saml_idp import certificate, parse_request

pytest_plugins = ["tests.support.saml_fixtures"]
pytestmark = pytest.mark.django_db
METADATA = "/api/v1/auth/saml/{}/metadata"


def replace(slug: str) -> str:
    output = StringIO()
    call_command("replace_saml_key", slug, stdout=output)
    return output.getvalue().strip() + "\n"


def test_the_new_key_signs_at_once_and_is_published(connection, anyone):
    IdentityProvider.objects.update(signs_requests=True)
    connection.refresh_from_db()
    workspace = connection.workspace
    parse_request(authn_request_url(connection, "_before"))
    old = SamlKeyPair.objects.get(workspace=workspace)

    printed = replace(workspace.slug)

    new = SamlKeyPair.objects.get(workspace=workspace)
    assert (new.certificate, new.id) == (printed, old.id) and printed != old.certificate
    asked = parse_request(authn_request_url(connection, "_after"))
    assert asked.is_signed_by(printed) and not asked.is_signed_by(old.certificate)
    published = anyone.get(METADATA.format(workspace.slug)).content.decode()
    assert "".join(printed.splitlines()[1:-1]) in published
    assert "".join(old.certificate.splitlines()[1:-1]) not in published
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.workspace_id) == ("sso.configured", workspace.id)
    assert "PRIVATE" not in new.private_key and certificate("sp") != printed


def test_a_workspace_that_is_not_there_is_said(db):
    with pytest.raises(CommandError, match="No workspace has the slug nowhere"):
        replace("nowhere")
