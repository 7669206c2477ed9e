"""The live pages of the control room. They show and steer what LoadControl offers, nothing more.

app puts pages and REST into one ASGI application, access guards it, server serves it. frame stands
around every page; feed keeps what is known of the services once for all browsers; overview,
service_page and runs_page are the pages. A run's page is its report: what draws either is in view.
What runs in the browser for these pages alone is in static/.
"""
