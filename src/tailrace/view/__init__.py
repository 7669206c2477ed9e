"""What draws, for the live pages and for reports: words, markup, charts, SVG, static modules.

words says how numbers and times read, markup makes HTML, svg draws without a script, charts says
which charts there are, static_files names what a browser runs (in static/). Nothing here knows a
server, a page or a document: these are put together in dashboard and in report.
"""
