"""Which plans have single sign-on by an identity provider of their own."""

from rest_framework import status

from accounts.sso_requirement import SSO_PLANS
from spatialflow.errors import ApiError

SAML_PLANS = frozenset(SSO_PLANS)


class PlanRequired(ApiError):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "Single sign-on by SAML is part of the plans business and enterprise. Ask for one of them first."
    default_code = "plan_required"


def refuse_other_plans(plan: str) -> None:
    """Raise `PlanRequired` unless a workspace on this plan may use single sign-on by SAML."""
    if plan not in SAML_PLANS:
        raise PlanRequired()
