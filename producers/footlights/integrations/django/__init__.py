"""Django: `"footlights.integrations.django"` in INSTALLED_APPS and its middleware in MIDDLEWARE.

In: `ANALYTICS_*` settings.
Out: requests, logins and business signals as events; a status page for staff.
Never: an exception of analytics in a request.
"""
