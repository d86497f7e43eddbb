"""Where a workspace's identity provider has signed somebody in without having been asked: a page that asks first."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.models import Membership
from accounts.throttles import EXCHANGE_BY_ADDRESS, charged_by_address
from dashboard import entering
from dashboard.pages import own_path
from dashboard.views.entrance import EntrancePage
from sso import binding
from sso.login_codes import InvalidLoginCode, find_waiting, trade
from sso.saml_sign_in import UNASKED


class UnaskedPage(EntrancePage):
    """Say who was signed in where, and sign the browser in once its person wants that: nothing shows that they came
    from their provider by themselves, and not by a page that has brought them here to act for somebody else's account.
    """

    template = "dashboard/entrance/unasked.html"
    title = "You come from your identity provider"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"membership": _waiting(request)}

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        _waiting(request)  # what somebody else's browser brings is left unspent
        with charged_by_address(EXCHANGE_BY_ADDRESS, request):
            pair, _ = trade(request, _code(request), binding.kept_verifier(request), UNASKED)
        response = entering.arrive(request, pair, own_path(request.GET.get("next", "/")))
        binding.drop_verifier(response)
        return response


def _code(request: HttpRequest) -> str:
    return request.GET.get("code", "")


def _waiting(request: HttpRequest) -> Membership:
    """Return who waits to be signed in in this browser. Raises `InvalidLoginCode`."""
    membership = find_waiting(_code(request), binding.kept_verifier(request), UNASKED)
    if membership is None:
        raise InvalidLoginCode()
    return membership
