"""The web page of the control room. It shows and steers what LoadControl offers, nothing more.

app puts pages and REST into one ASGI application, access guards it, server serves it, assets are
what the browser fetches. frame stands around every page. board and feed keep what is known of the
services once for all browsers; overview, service_page, runs_page
and search_page are the pages. What runs in the
browser is in static/.
"""
