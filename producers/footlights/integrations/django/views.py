"""The status page for staff: `path("admin/analytics/", footlights.integrations.django.views.status)` before the admin's own.

In: a request of staff. Out: what this process has recorded and refused.
Never: a form, or a person's data.
"""

from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpResponse
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_safe

from footlights.integrations.django.client import client


def told() -> list[tuple[str, Any]]:
    """What there is to tell of this process, as names and values."""
    held = client()
    refused = ", ".join(f"{reason} {number}" for reason, number in sorted(held.refused.items()))
    return [
        ("Enabled", "yes" if held.enabled else "no"),
        ("Source", held.source),
        ("Producer of this process", held.producer_id or "none yet"),
        ("Waiting for Kafka", held.waiting),
        ("Refused", refused or "none"),
    ]


@staff_member_required
@require_safe
def status(request: Any) -> HttpResponse:
    """The page."""
    rows = format_html_join("", "<tr><th scope=row>{}</th><td>{}</td></tr>", told())
    style = "body{font:16px system-ui;margin:3rem}th{text-align:left;padding:.3rem 2rem .3rem 0}h1{font-size:1.4rem}"
    page = "<!doctype html><html lang=en><title>Analytics</title><style>{}</style><h1>Analytics</h1><table>{}</table></html>"
    return HttpResponse(format_html(page, style, rows))
