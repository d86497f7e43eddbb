"""Settings / Members, without a browser: who is shown to whom, what is changed, and the rules about owners."""

import re
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.audit import Action
from accounts.models import AuditEvent, Membership, SignIn, User
from dashboard.session import FRESH_FOR
from tests.support.cast import Actor, bearer
from tests.support.pages import age_session, fill_in, hidden_fields, signed_in
from tests.support.urls import EXAMPLE_ID

PLACE = "/settings/members"


@pytest.fixture
def page(alice: Actor) -> Client:
    return signed_in(alice)


def role_of(actor: Actor) -> str | None:
    return Membership.objects.filter(user=actor.user, workspace=actor.workspace).values_list("role", flat=True).first()


def make(actor: Actor, role: str) -> Client:
    """Return the browser of somebody who has been given a role."""
    Membership.objects.filter(id=actor.membership.id).update(role=role)
    return signed_in(actor)


def test_everybody_sees_who_belongs_here_and_only_some_what_to_change(page: Client, bob: Actor, mallory: Actor):
    of_alice, of_bob = page.get(PLACE).content.decode(), signed_in(bob).get(PLACE).content.decode()

    for text in (of_alice, of_bob):
        assert "alice@acme.test" in text and "bob@acme.test" in text and "Field worker" in text
        assert "2 people belong" in text and text.count(">You</span>") == 1 and "mallory" not in text
        assert f"{PLACE}/leave" in text
    assert f"{PLACE}/{bob.user.id}/remove" in of_alice and f"{PLACE}/invitations/new" in of_alice
    assert "Change role" not in of_bob and "/remove" not in of_bob and "/invitations" not in of_bob


def test_a_name_is_shown_as_text(page: Client, bob: Actor):
    User.objects.filter(id=bob.user.id).update(name="<script>alert(1)</script>")

    texts = [page.get(path).content.decode() for path in (PLACE, f"{PLACE}/{bob.user.id}")]
    fill_in(page, f"{PLACE}/{bob.user.id}", {"role": "manager"})
    answer = page.get(PLACE)

    for text in (*texts, answer.content.decode()):
        assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_a_higher_role_takes_nothing_away(page: Client, bob: Actor):
    assert b"A role with fewer rights ends at once" in page.get(f"{PLACE}/{bob.user.id}").content

    answer = fill_in(page, f"{PLACE}/{bob.user.id}", {"role": "manager"})

    assert answer["Location"] == PLACE and b"Bob is manager now." in page.get(PLACE).content
    assert role_of(bob) == "manager" and bob.client.get("/api/v1/auth/me").status_code == 200
    assert AuditEvent.objects.latest("sequence").action == Action.ROLE_CHANGED


def test_a_role_that_a_colleague_gave_is_not_written_over_unseen(page: Client, bob: Actor):
    path = f"{PLACE}/{bob.user.id}"
    old_page = hidden_fields(page.get(path))
    make(bob, "manager")
    events = AuditEvent.objects.count()

    refused = page.post(path, {**old_page, "role": "member"})

    text = refused.content.decode()
    assert refused.status_code == 409 and "This is “manager” since somebody changed it." in text
    assert role_of(bob) == "manager" and AuditEvent.objects.count() == events
    assert 'value="member" checked' in text and "<dt>Role now</dt><dd>Manager</dd>" in text
    again = page.post(path, {**hidden_fields(refused), "role": "member"})  # knowing it by now
    assert again.status_code == 302 and role_of(bob) == "member"


def test_a_form_that_does_not_say_which_role_it_showed_changes_none(page: Client, bob: Actor):
    path = f"{PLACE}/{bob.user.id}"

    for seen in ({}, {"seen": ""}, {"seen": "[" * 9999}):
        refused = page.post(path, {**seen, "role": "member"})
        assert refused.status_code == 409 and f'href="{path}">Open the page again' in refused.content.decode()
    assert role_of(bob) == "field_worker"
    assert fill_in(page, path, {"role": "member"}).status_code == 302 and role_of(bob) == "member"


@pytest.mark.parametrize("sent", ["field_worker", "manager"])
def test_a_role_that_was_left_or_is_the_same_is_no_conflict(page: Client, bob: Actor, sent: str):
    path = f"{PLACE}/{bob.user.id}"
    old_page = hidden_fields(page.get(path))
    make(bob, "manager")

    answer = page.post(path, {**old_page, "role": sent}, follow=True)

    assert answer.redirect_chain == [(PLACE, 302)] and b"Bob is manager now." in answer.content
    assert role_of(bob) == "manager"


def test_a_lower_role_ends_sign_ins_and_keys_beyond_it(page: Client, bob: Actor):
    writing = bob.key_client(["geofences:write"])
    assert b"Fewer rights" in page.get(f"{PLACE}/{bob.user.id}").content

    fill_in(page, f"{PLACE}/{bob.user.id}", {"role": "member"})

    assert role_of(bob) == "member"
    assert bob.client.get("/api/v1/auth/me").status_code == 401
    assert writing.get("/api/v1/geofences").status_code == 401


def test_the_last_owner_stays_one_and_is_told_so_next_to_the_field(page: Client, alice: Actor):
    demoted = fill_in(page, f"{PLACE}/{alice.user.id}", {"role": "member"})
    left = page.post(f"{PLACE}/leave")
    removed = page.post(f"{PLACE}/{alice.user.id}/remove")

    assert [answer.status_code for answer in (demoted, left, removed)] == [400, 403, 302]
    assert demoted.context["form"].errors["role"] == [
        "This is the workspace's last owner. Make somebody else an owner first."
    ]
    assert b'id="role-errors"' in demoted.content and b"last owner" in left.content
    assert removed["Location"] == page.get(f"{PLACE}/{alice.user.id}/remove")["Location"] == f"{PLACE}/leave"
    assert role_of(alice) == "owner" and page.get(PLACE).status_code == 200


def test_an_owner_who_steps_down_signs_in_again(page: Client, alice: Actor, bob: Actor):
    make(bob, "owner")

    answer = fill_in(page, f"{PLACE}/{alice.user.id}", {"role": "manager"})

    assert answer["Location"] == "/sign-in" and b"You are manager now." in page.get("/sign-in", follow=True).content
    assert role_of(alice) == "manager" and not SignIn.objects.live().filter(user=alice.user).exists()


def test_somebody_is_removed(page: Client, bob: Actor):
    key = bob.key_client(["geofences:read"])
    assert b"Their sign-ins in this workspace end." in page.get(f"{PLACE}/{bob.user.id}/remove").content

    answer = page.post(f"{PLACE}/{bob.user.id}/remove", {"seen": '{"role": "field_worker"}'}, follow=True)

    assert answer.redirect_chain == [(PLACE, 302)] and b"Bob is removed" in answer.content
    assert role_of(bob) is None
    assert key.get("/api/v1/geofences").status_code == bob.client.get("/api/v1/auth/me").status_code == 401


def test_nobody_is_removed_whose_role_is_not_the_one_that_was_shown(page: Client, bob: Actor):
    path = f"{PLACE}/{bob.user.id}/remove"
    old_page = page.get(path)
    make(bob, "owner")
    events = AuditEvent.objects.count()

    refused = page.post(path, hidden_fields(old_page))
    unseen = [page.post(path, {"seen": seen}) for seen in ("", "{}", "[" * 9999)]

    text = refused.content.decode()
    assert "<dt>Role</dt><dd>Field worker</dd>" in old_page.content.decode()
    assert (
        refused.status_code == 409 and "Somebody changed their role" in text and "<dt>Role</dt><dd>Owner</dd>" in text
    )
    assert [answer.status_code for answer in unseen] == [409, 409, 409]
    assert role_of(bob) == "owner" and AuditEvent.objects.count() == events
    assert page.post(path, hidden_fields(refused)).status_code == 302 and role_of(bob) is None  # knowing it by now


def test_one_leaves(bob: Actor):
    page = signed_in(bob)
    assert b"You reach nothing of Acme any more" in page.get(f"{PLACE}/leave").content

    answer = page.post(f"{PLACE}/leave", follow=True)

    assert answer.redirect_chain[0] == ("/sign-in", 302) and b"You have left the workspace." in answer.content
    assert role_of(bob) is None and bearer(bob.pair.access_token).get("/api/v1/auth/me").status_code == 401


def test_managers_change_whom_they_may(alice: Actor, bob: Actor, carol: Actor):
    page = make(bob, "manager")

    form = page.get(f"{PLACE}/{carol.user.id}").content.decode()
    raised = fill_in(page, f"{PLACE}/{carol.user.id}", {"role": "owner"})
    of_owner = page.get(f"{PLACE}/{alice.user.id}").content.decode()
    drawn_by_hand = {"seen": '{"role": "owner"}', "role": "member"}
    refused = [page.post(f"{PLACE}/{alice.user.id}{leaf}", drawn_by_hand) for leaf in ("", "/remove")]
    changed = fill_in(page, f"{PLACE}/{carol.user.id}", {"role": "field_worker"})

    assert 'value="owner"' not in form and 'value="manager"' in form
    assert raised.status_code == 403 and "Only owners" in raised.context["form"].errors["role"][0]
    assert "Only owners change owners and managers" in of_owner and 'name="role"' not in of_owner
    assert [answer.status_code for answer in refused] == [403, 403] and role_of(alice) == "owner"
    assert changed.status_code == 302 and role_of(carol) == "field_worker"
    assert f"{PLACE}/{alice.user.id}" not in page.get(PLACE).content.decode()


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_others_change_nobody(request: pytest.FixtureRequest, alice: Actor, who: str):
    actor = request.getfixturevalue(who)
    page = signed_in(actor)
    targets = [f"{PLACE}/{alice.user.id}", f"{PLACE}/{alice.user.id}/remove", f"{PLACE}/{actor.user.id}"]

    statuses = [ask(path, {"role": "owner"}).status_code for path in targets for ask in (page.get, page.post)]

    assert statuses == [403] * 6 and role_of(alice) == "owner" and role_of(actor) == actor.membership.role


@pytest.mark.parametrize("leaf", ["", "/remove"])
def test_a_stranger_is_not_there(page: Client, mallory: Actor, leaf: str):
    theirs, absent, crooked = (f"{PLACE}/{name}{leaf}" for name in (mallory.user.id, EXAMPLE_ID, "<script>"))

    answers = [ask(path, {"role": "member"}) for path in (theirs, absent, crooked) for ask in (page.get, page.post)]

    assert [answer.status_code for answer in answers] == [404] * 6
    assert role_of(mallory) == "owner"


def test_a_wrong_role_is_said_at_its_field(page: Client, bob: Actor):
    answers = [fill_in(page, f"{PLACE}/{bob.user.id}", body) for body in ({"role": "king"}, {})]

    assert [answer.status_code for answer in answers] == [422, 422] and role_of(bob) == "field_worker"
    assert all(list(answer.context["form"].errors) == ["role"] for answer in answers)


@pytest.mark.parametrize("leaf", ["", "/remove"])
def test_changes_want_a_fresh_proof(page: Client, bob: Actor, leaf: str):
    age_session(page, FRESH_FOR + 1)
    path = f"{PLACE}/{bob.user.id}{leaf}"

    for answer in (page.get(path), page.post(path, {"role": "member"})):
        assert answer["Location"].removesuffix("&typed=1") == f"/confirm?next={path.replace('/', '%2F')}"
    assert role_of(bob) == "field_worker" and page.get(PLACE).status_code == 200


@pytest.mark.parametrize("leaf", ["", "/remove"])
def test_forms_from_elsewhere_are_refused(alice: Actor, bob: Actor, leaf: str):
    page = signed_in(alice, enforce_csrf_checks=True)

    assert page.post(f"{PLACE}/{bob.user.id}{leaf}", {"role": "member"}).status_code == 403
    assert page.post(f"{PLACE}/leave").status_code == 403
    assert role_of(bob) == "field_worker" and role_of(alice) == "owner"


def add_members(alice: Actor, number: int) -> None:
    people = User.objects.bulk_create([User(email=f"p{n:03}@acme.test", name=f"Number {n}") for n in range(number)])
    Membership.objects.bulk_create([Membership(user=one, workspace=alice.workspace, role="member") for one in people])


def people_on(answer: HttpResponse) -> list[str]:
    return re.findall(
        r"p\d{3}(?=@acme.test</span>)", re.sub(r"<span class=.unseen.*?</span>", "", answer.content.decode())
    )


def test_a_long_list_comes_in_pages_of_fifty(page: Client, alice: Actor):
    add_members(alice, 110)

    first = page.get(PLACE)
    following = [page.get(f"{PLACE}?search=&page={number}") for number in (2, 3)]

    assert [len(people_on(answer)) for answer in (first, *following)] == [49, 50, 11]  # Alice came first
    shown = [email for answer in (first, *following) for email in people_on(answer)]
    assert shown == [f"p{number:03}" for number in range(110)]
    text = first.content.decode()
    assert (
        "111 people belong to Acme" in text and "Page 1 of 3" in text and f'href="{PLACE}?search=&amp;page=2"' in text
    )
    assert 'rel="prev"' not in text and 'rel="next"' not in following[1].content.decode()


@pytest.mark.parametrize(
    ("search", "found"),
    [("P004@", ["p004"]), ("number 10", ["p010"]), ("%", []), ("alice", []), ("mallory", [])],
)
def test_a_member_is_found_by_a_part_of_name_or_address(
    page: Client, alice: Actor, mallory: Actor, search: str, found: list[str]
):
    add_members(alice, 12)

    answer = page.get(PLACE, {"search": search})

    text = answer.content.decode()
    assert people_on(answer) == found
    assert (">You</span>" in text) == (search == "alice")
    assert ("Nobody fits" in text) == (search in ("%", "mallory")) and "Show everybody" in text


@pytest.mark.parametrize("query", ["page=0", "page=x", "page=99", "page=1%00", "search=<b>&page=-1"])
def test_a_page_that_is_not_there_is_another_page(page: Client, query: str):
    answer = page.get(f"{PLACE}?{query}")

    assert answer.status_code == 200 and "<b>" not in answer.content.decode()


@pytest.mark.parametrize("search", ["\x00", "x" * 255])
def test_what_no_name_can_contain_is_refused(page: Client, search: str):
    assert page.get(PLACE, {"search": search}).status_code == 422


def test_the_list_costs_as_many_queries_however_many_are_there(
    page: Client, alice: Actor, django_assert_max_num_queries: Any
):
    add_members(alice, 60)

    with django_assert_max_num_queries(8):
        page.get(PLACE)
