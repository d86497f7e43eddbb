"""Settings / Members / Invitations, without a browser: inviting, the link that is shown once, and what follows."""

import re
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Invitation, Membership, User
from accounts.throttles import INVITATION_BATCHES, INVITATION_RESENDS
from dashboard.session import FRESH_FOR
from tests.support.cast import Actor
from tests.support.pages import age_session, signed_in
from tests.support.urls import EXAMPLE_ID

PLACE = "/settings/members/invitations"
GUEST = "guest@guests.test"
ACTS = ["", "/resend", "/extend", "/cancel"]


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def store(actor: Actor, email: str = GUEST, **fields: object) -> Invitation:
    now = timezone.now()
    values = {"role": "member", "expires_at": now + timedelta(days=7), "digest": email.encode(), **fields}
    return Invitation.objects.create(workspace=actor.workspace, email=email, invited_by=actor.user, **values)


def shown_link(answer: object) -> str:
    (shown,) = re.findall(r'id="invitation-link"[^>]*>([^<]+)<', answer.content.decode())  # type: ignore[attr-defined]
    return str(shown).replace("&amp;", "&")


def test_somebody_is_invited_and_the_link_is_shown_once(page: Client, alice: Actor, anyone):
    assert b"Nobody is invited at the moment" in page.get(PLACE).content

    answer = page.post(f"{PLACE}/new", {"email": " Guest@Guests.test ", "role": "member"})

    invitation, link = Invitation.objects.get(), shown_link(answer)
    text = answer.content.decode()
    assert answer.status_code == 200 and answer["Cache-Control"] == "no-store"
    assert (invitation.email, invitation.role, invitation.invited_by) == (GUEST, "member", alice.user)
    assert 'class="qr"' in text and "<path" in text and "style=" not in text
    token = dict(parse_qsl(urlsplit(link).query))["token"]
    for path in (PLACE, f"{PLACE}/{invitation.id}"):
        shown = page.get(path).content.decode()
        assert GUEST in shown and token not in shown
    assert token not in str(dict(page.session)) and token not in str(list(AuditEvent.objects.values()))
    body = {"invite_id": str(invitation.id), "token": token}
    assert anyone.post("/api/v1/auth/accept-invite/passwordless", body, format="json").status_code == 200
    assert GUEST in page.get(f"{PLACE}?status=accepted").content.decode()


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"email": "nobody"}, 422, "email"),
        ({"email": ""}, 422, "email"),
        ({"email": "alice@acme.test"}, 400, "email"),
        ({"email": "bob@acme.test"}, 400, "email"),
        ({"role": "king"}, 422, "role"),
    ],
)
def test_what_is_wrong_stands_at_its_field(page: Client, bob: Actor, body: dict, status: int, field: str):
    answer = page.post(f"{PLACE}/new", {"email": GUEST, "role": "member", **body})

    assert answer.status_code == status and list(answer.context["form"].errors) == [field]
    assert not Invitation.objects.exists()


def test_without_a_verified_address_nobody_is_invited(page: Client):
    User.objects.update(email_verified_at=None)

    answer = page.post(f"{PLACE}/new", {"email": GUEST, "role": "member"})

    assert answer.status_code == 403 and b"Verify your email address" in answer.content
    assert not Invitation.objects.exists()


def test_managers_invite_anybody_but_owners(alice: Actor, bob: Actor):
    Membership.objects.filter(id=bob.membership.id).update(role="manager")
    page, of_owner = signed_in(bob), store(alice, "boss@guests.test", role="owner")

    form = page.get(f"{PLACE}/new").content.decode()
    refused = page.post(f"{PLACE}/new", {"email": GUEST, "role": "owner"})
    replaced = page.post(f"{PLACE}/new", {"email": "boss@guests.test", "role": "member"})
    shown = page.get(f"{PLACE}/{of_owner.id}").content.decode()
    acts = [page.post(f"{PLACE}/{of_owner.id}{act}", {"expires_at": "2099-01-01"}).status_code for act in ACTS[1:]]

    assert 'value="owner"' not in form and 'value="manager"' in form
    assert refused.status_code == replaced.status_code == 403 and list(refused.context["form"].errors) == ["role"]
    assert "Only owners change" in shown and "/cancel" not in shown
    assert acts == [403, 422, 403] and Invitation.objects.get().status == "pending"


def test_the_list_is_by_state_and_escaped(page: Client, alice: Actor, mallory: Actor):
    past = timezone.now() - timedelta(days=1)
    store(alice, "<script>alert(1)</script>@x.test")
    store(alice, "late@x.test", expires_at=past)
    store(alice, "in@x.test", used_at=past)
    store(alice, "out@x.test", revoked_at=past)
    store(mallory, "theirs@x.test")
    shown = {name: page.get(f"{PLACE}?status={name}").content.decode() for name in ("expired", "accepted", "revoked")}
    first = page.get(PLACE).content.decode()

    assert "&lt;script&gt;alert(1)" in first and "<script>alert" not in first
    assert "late@x.test" in shown["expired"] and "in@x.test" in shown["accepted"] and "out@x.test" in shown["revoked"]
    for text in (first, *shown.values()):
        assert text.count('data-label="Role"') == 1 and "theirs" not in text
        assert text.count('<span class="badge">1</span>') == 4
    assert page.get(f"{PLACE}?status=lost").status_code == 422


def test_a_long_list_goes_on_page_by_page(page: Client, alice: Actor):
    now = timezone.now()
    for number in range(101):
        store(alice, f"p{number:03}@x.test", created_at=now - timedelta(minutes=number // 2))

    first = page.get(PLACE).content.decode()
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = page.get(following.replace("&amp;", "&")).content.decode()

    found = [re.findall(r">(p\d{3})@x.test</a>", text) for text in (first, second)]
    assert [len(part) for part in found] == [100, 1] and len({*found[0], *found[1]}) == 101
    assert 'rel="next"' not in second and "First page" in second
    assert page.get(f"{PLACE}?before=nonsense").status_code == 400


def test_one_is_sent_again_given_more_time_and_cancelled(page: Client, alice: Actor):
    former = store(alice)
    date = (timezone.now() + timedelta(days=30)).date()

    answer = page.post(f"{PLACE}/{former.id}/resend")
    successor = Invitation.objects.pending().get()
    extended = page.post(f"{PLACE}/{successor.id}/extend", {"expires_at": f"{date}"}, follow=True)
    cancelled = page.post(f"{PLACE}/{successor.id}/cancel", follow=True)

    assert str(successor.id) in shown_link(answer) and successor.id != former.id
    assert f"works until {date}, 23:59 UTC." in extended.content.decode()
    assert Invitation.objects.get(id=successor.id).expires_at.isoformat() == f"{date}T23:59:59+00:00"
    assert cancelled.redirect_chain == [(PLACE, 302)] and b"The invitation is cancelled." in cancelled.content
    assert not Invitation.objects.pending().exists()
    again = [page.post(f"{PLACE}/{successor.id}{act}", {"expires_at": f"{date}"}) for act in ACTS[1:]]
    assert [each.status_code for each in again] == [400] * 3 and b"cancelled" in again[0].content


@pytest.mark.parametrize("date", ["", "soon", "2020-01-01", "2099-01-01"])
def test_a_wrong_day_is_said_at_its_field(page: Client, alice: Actor, date: str):
    invitation = store(alice)

    answer = page.post(f"{PLACE}/{invitation.id}/extend", {"expires_at": date})

    assert answer.status_code == 422 and list(answer.context["form"].errors) == ["expires_at"]


def test_an_expired_one_is_given_more_time(page: Client, alice: Actor):
    invitation = store(alice, expires_at=timezone.now() - timedelta(days=1))
    assert b"Give it more time" in page.get(f"{PLACE}/{invitation.id}").content

    page.post(f"{PLACE}/{invitation.id}/extend", {"expires_at": f"{timezone.now() + timedelta(days=3):%Y-%m-%d}"})

    assert Invitation.objects.get().status == "pending"


def test_all_are_sent_again_in_batches_that_tell_how_far_they_are(page: Client, alice: Actor):
    for number in range(203):
        store(alice, f"p{number:03}@x.test")
    assert b"203 are pending." in page.get(f"{PLACE}/resend-all").content

    first = page.post(f"{PLACE}/resend-all")
    text = first.content.decode()
    carried = dict(re.findall(r'name="(before|done|sent)" value="([^"]*)"', text))
    last = page.post(f"{PLACE}/resend-all", carried)

    assert "200 of 203 looked at so far, 200 sent." in text and 'value="200" max="203"' in text
    assert 'hx-trigger="load' in text and "Go on" in text
    assert b"Done: 203 of 203 sent again." in last.content and b"Go on" not in last.content
    assert Invitation.objects.pending().count() == 203 and Invitation.objects.count() == 406


def test_what_is_not_sent_again_is_counted_with_its_reason(alice: Actor, bob: Actor):
    Membership.objects.filter(id=bob.membership.id).update(role="manager")
    store(alice, "boss@x.test", role="owner")
    store(alice, GUEST)

    answer = signed_in(bob).post(f"{PLACE}/resend-all")

    assert b"Done: 1 of 2 sent again." in answer.content and b"1 not sent: Only owners invite owners" in answer.content


def test_limits_are_the_apis_own(page: Client, alice: Actor):
    one = store(alice)
    for _ in range(10):
        INVITATION_RESENDS.charge(alice.request(), str(alice.user.id))
        INVITATION_BATCHES.charge(alice.request(), str(alice.user.id))

    answers = [page.post(f"{PLACE}/{one.id}/resend"), page.post(f"{PLACE}/resend-all")]

    for answer in answers:
        assert answer.status_code == 429 and int(answer["Retry-After"]) > 0
        assert b"That was too often. Wait" in answer.content
    assert Invitation.objects.get().status == "pending"


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_others_see_and_do_nothing(request: pytest.FixtureRequest, alice: Actor, who: str):
    page, one = signed_in(request.getfixturevalue(who)), store(alice)
    paths = [PLACE, f"{PLACE}/new", f"{PLACE}/resend-all", *(f"{PLACE}/{one.id}{act}" for act in ACTS)]

    answers = [page.get(path) for path in paths]
    answers += [page.post(path, {"email": "x@x.test", "role": "member"}) for path in paths if path != PLACE]

    assert {answer.status_code for answer in answers} <= {403, 405} and Invitation.objects.get().status == "pending"
    assert not [answer for answer in answers if GUEST in answer.content.decode()]


@pytest.mark.parametrize("act", ACTS)
def test_a_strangers_invitation_is_not_there(page: Client, mallory: Actor, act: str):
    theirs = store(mallory)

    for name in (theirs.id, EXAMPLE_ID, "<script>"):
        for ask in (page.get, page.post):
            answer = ask(f"{PLACE}/{name}{act}", {"expires_at": f"{timezone.now() + timedelta(days=3):%Y-%m-%d}"})
            assert answer.status_code in ({404, 405} if act == "" else {404})
    assert Invitation.objects.get().status == "pending"


@pytest.mark.parametrize("leaf", ["new", "resend-all", "{}/resend"])
def test_what_makes_links_wants_a_fresh_proof(page: Client, alice: Actor, leaf: str):
    age_session(page, FRESH_FOR + 1)
    path = f"{PLACE}/{leaf.format(store(alice).id)}"

    for answer in (page.get(path), page.post(path, {"email": "x@x.test", "role": "owner"})):
        assert answer["Location"].startswith("/confirm?next=")
    assert Invitation.objects.count() == 1


@pytest.mark.parametrize("leaf", ["new", "resend-all", "{}/resend", "{}/extend", "{}/cancel"])
def test_forms_from_elsewhere_are_refused(alice: Actor, leaf: str):
    path = f"{PLACE}/{leaf.format(store(alice).id)}"

    answer = signed_in(alice, enforce_csrf_checks=True).post(path, {"email": "x@x.test", "role": "owner"})

    assert answer.status_code == 403 and Invitation.objects.get().status == "pending"
