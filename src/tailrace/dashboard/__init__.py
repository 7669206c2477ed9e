"""The web page of the control room. It shows and steers what LoadControl offers, nothing more.

app puts page and REST into one ASGI application, access guards it, server serves it; feed keeps
each service's history once for all browsers; page, controls, figures, charts and frames draw it.
What runs in the browser is in static/.
"""
