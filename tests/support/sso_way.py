"""The steps of an owner through Settings / Single sign-on in a browser, and of people who come in by it afterwards,
with an identity provider that we did not write.
"""

import re

from playwright.sync_api import Page, expect

from tests.support.dns_server import DnsServer
from tests.support.entrance import link_in
from tests.support.mails import mail_of
from tests.support.real_providers import Person, RealProvider

PLACE = "/settings/sso"
LOGIN_FORM = "input[name=username], input[name=user]"  # of the provider's page
WITHOUT_SCRIPTS = "noscript button, noscript input[type=submit]"  # sends the provider's answer by hand


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def is_at(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)


def tells(page: Page, sentence: str) -> None:
    """Wait until the page says what has just been done."""
    expect(page.get_by_role("status")).to_contain_text(sentence)


def name_attributes(page: Page, provider: RealProvider) -> None:
    """Enter how the provider calls what it says of a person."""
    for label, name in (("Email address", "email"), ("First name", "first_name"), ("Last name", "last_name")):
        page.get_by_label(label).fill(provider.attributes.get(name, ""))


def claim_domain(page: Page, domain: str) -> None:
    page.get_by_label("Domain", exact=True).fill(domain)
    press(page, "Add it")


def publish_record(page: Page, dns: DnsServer) -> None:
    """Let the DNS hold the record that the page shows."""
    dns.records[page.locator("#dns-name").inner_text()] = [page.locator("#dns-value").inner_text()]


def log_in_there(page: Page, provider: RealProvider, person: Person) -> None:
    """Fill in the provider's page. Where no script may run, its answer is a page with a button."""
    provider.log_in(page, person)
    page.wait_for_load_state()
    if page.locator(WITHOUT_SCRIPTS).count():
        page.locator(WITHOUT_SCRIPTS).click()


def come_in(page: Page, provider: RealProvider, person: Person) -> bool:
    """Sign in with an address of a domain whose people do so by their provider; answer whatever is asked on the way.
    Return whether the provider asked who it is.
    """
    page.goto("/sign-in")
    page.get_by_label("Email address").fill(person.email)
    press(page, "Continue")
    question = page.get_by_role("button", name=re.compile("^Sign in by "))
    form, answer = page.locator(LOGIN_FORM), page.locator(WITHOUT_SCRIPTS)
    end = page.locator("summary", has_text=person.email).or_(page.get_by_role("alert"))
    expect(question.or_(form).or_(answer).or_(end).first).to_be_visible()
    if question.is_visible():
        question.click()
        expect(form.or_(answer).or_(end).first).to_be_visible()
    is_asked = form.count() > 0
    if is_asked:
        log_in_there(page, provider, person)
    elif answer.count():
        answer.click()
    return is_asked


def is_in(page: Page, person: Person) -> None:
    expect(page.locator("summary", has_text=person.email)).to_have_count(1)


def sign_out(page: Page, person: Person) -> None:
    page.locator("summary", has_text=person.email).click()
    press(page, "Sign out")
    tells(page, "You are signed out.")


def ask_for_a_recovery_link(page: Page, person: Person) -> None:
    """From the page that refuses the sign-in to the mail."""
    page.get_by_role("link", name="Ask for a recovery link").click()
    page.get_by_label("Your email address").fill(person.email)
    page.get_by_label("Short name of the workspace").fill("acme")
    press(page, "Send the link")
    expect(page.get_by_text("a link is on its way")).to_be_visible()


def follow_the_mailed_link(page: Page, person: Person) -> None:
    mail = mail_of(person.email, "Repair single sign-on of Acme")
    link = link_in(str(mail.get_payload(decode=True), "utf-8"))
    page.goto("/" + link.split("/", 3)[3])  # another running server may have sent it, and named itself
    assert "token=" not in page.url
