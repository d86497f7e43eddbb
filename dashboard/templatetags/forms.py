"""What every form of ours carries unseen, whoever writes its template: `{% csrf_token %}` also says in which workspace
the form was drawn. The settings put this tag in the place of Django's.
"""

from typing import Any

from django import template
from django.template.base import Parser, Token
from django.template.defaulttags import CsrfTokenNode
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard.drawn_in import FIELD

register = template.Library()


class FormTokenNode(CsrfTokenNode):
    """Django's field, and ours for whoever is signed in."""

    def render(self, context: Any) -> SafeString:
        field, principal = super().render(context), context.get("principal")
        if principal is None:
            return SafeString(field)
        drawn_in = format_html('<input type="hidden" name="{}" value="{}">', FIELD, principal.workspace_id)
        return SafeString(field) + drawn_in


@register.tag("csrf_token")
def csrf_token(parser: Parser, token: Token) -> FormTokenNode:
    return FormTokenNode()
