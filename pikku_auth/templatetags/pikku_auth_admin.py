"""What templates of the admin ask for."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import RequestContext

from pikku_auth.admin.figures import Figure, figures_of

register = template.Library()


@register.simple_tag(takes_context=True)
def key_figures(context: RequestContext) -> list[Figure]:
    """How many keys live, end soon, and aren't used; nothing for who may not see keys."""
    request: Any = context.request
    app_list: Any = context.get("app_list", ())
    return figures_of(request, app_list)
