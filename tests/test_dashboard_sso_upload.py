"""The provider's metadata as a file: what is taken, what is refused next to the field, and that no file changes more
than the text of it would.
"""

import codecs
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from sso.models import IdentityProvider, SamlAttempt
from sso.outbound import MAX_DOCUMENT_BYTES
from tests.support.cast import Actor
from tests.support.pages import signed_in
from tests.support.saml_idp import certificate
from tests.support.saml_setup import ENTITY, entity
from tests.support.sso_history import an_attempt, connected, shown

pytestmark = pytest.mark.django_db

PLACE = "/settings/sso"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def owner(alice: Actor) -> Client:
    return signed_in(alice)


def upload(owner: Client, content: bytes, which: str = "connection", **fields: str) -> Any:
    file = SimpleUploadedFile(f"{SCRIPT}.xml", content, "application/samlmetadata+xml")
    return owner.post(f"{PLACE}/{which}/metadata", {"preset": "okta", "url": "", "xml": "", "file": file, **fields})


def test_the_form_takes_a_file_without_any_script(owner: Client):
    page = owner.get(f"{PLACE}/connection/metadata").content.decode()

    assert '<form method="post" enctype="multipart/form-data">' in page
    assert 'name="file" type="file" accept=".xml,' in page and 'aria-describedby="id_file-help"' in page


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "with the mark of UTF-8"])
@pytest.mark.parametrize("which", ["connection", "staged"])
def test_a_file_makes_a_connection_as_its_text_does(owner: Client, mark: bytes, which: str):
    answer = upload(owner, mark + entity().encode(), which)

    assert answer.status_code == 302, answer.content
    made = IdentityProvider.objects.get()
    assert (made.entity_id, made.certificates, made.metadata_url) == (ENTITY, [certificate("idp")], "")
    assert made.state == ("staged" if which == "staged" else "serving") and not made.is_enabled


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty."),
        (b" " * (MAX_DOCUMENT_BYTES + 1), "The file is larger than 1 MiB."),
        (entity().encode("utf-16"), "This is no text in UTF-8."),
        (b"\x89PNG\r\n\x1a\n", "This is no text in UTF-8."),
        (b"<nonsense", ""),
        (f"<a>{SCRIPT}</a>".encode(), ""),
    ],
    ids=["empty", "large", "UTF-16", "picture", "nonsense", "something else"],
)
def test_a_file_that_cannot_be_used_is_told_next_to_its_field(owner: Client, content: bytes, said: str):
    answer = upload(owner, content)

    page = answer.content.decode()
    assert answer.status_code == 422 and 'id="id_file-errors"' in page and said in page
    assert 'id="id_xml-errors"' not in page and SCRIPT not in page
    assert not IdentityProvider.objects.exists()


def test_a_file_of_the_greatest_size_is_read(owner: Client):
    xml = entity().encode()

    assert upload(owner, xml + b" " * (MAX_DOCUMENT_BYTES - len(xml))).status_code == 302


@pytest.mark.parametrize("besides", [{"xml": entity()}, {"url": "https://idp.test/"}], ids=["text", "address"])
def test_one_source_at_a_time(owner: Client, besides: dict[str, str]):
    answer = upload(owner, entity().encode(), **besides)

    assert answer.status_code == 422 and b"one of the three" in answer.content
    assert not IdentityProvider.objects.exists()


def test_others_upload_nothing(owner: Client, bob: Actor):
    assert upload(signed_in(bob), entity().encode()).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = owner.cookies
    assert upload(strict, entity().encode()).status_code == 403
    assert not IdentityProvider.objects.exists()


def test_a_test_link_that_is_spent_answers_a_browser_with_a_page(owner: Client, alice: Actor):
    connected(alice)
    begun = owner.post(f"{PLACE}/connection/test", shown()).content.decode()
    path = "/api/" + begun.split('content="0;url=')[1].split('"')[0].split("/api/", 1)[1].replace("&amp;", "&")
    assert owner.get(path).status_code == 302

    spent = owner.get(path, headers={"accept": "text/html,application/xhtml+xml"})

    assert spent.status_code == 400 and spent["Content-Type"] == "text/html; charset=utf-8"
    assert "This test was begun already, or has expired." in spent.content.decode()


def test_who_is_no_member_leads_to_an_invitation(owner: Client, alice: Actor):
    attempt = an_attempt(alice)
    SamlAttempt.objects.filter(id=attempt).update(failed_check="membership")

    page = owner.get(f"{PLACE}/attempts/{attempt}").content.decode()

    assert '<a href="/settings/members/invitations/new">Go there</a>' in page
    assert owner.get("/settings/members/invitations/new").status_code == 200
