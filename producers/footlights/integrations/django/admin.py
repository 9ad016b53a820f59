"""The page in Django's admin, under Analytics: what the process that answers has recorded and refused. It only reads.

In: a request of staff who may view it. Out: a page.
Never: a form, or a person's data.
"""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from footlights.integrations.django.client import told
from footlights.integrations.django.models import Status

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Status]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(Status)
class StatusAdmin(_ModelAdmin):
    """One page instead of a list of rows."""

    def get_urls(self) -> list[URLPattern]:
        """That page alone."""
        page = self.admin_site.admin_view(self.changelist_view)
        return [path("", page, name="footlights_analytics_status_changelist")]

    def changelist_view(self, request: Any, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Analytics",
            "rows": told(),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "footlights_analytics/status.html", context)

    def has_add_permission(self, request: Any) -> bool:
        """Nobody adds to it."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """Nobody changes it."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """Nobody deletes it."""
        return False
