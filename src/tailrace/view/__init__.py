"""What draws, for live pages and for reports: markup, parts of pages, charts, SVG.

markup makes HTML, up to a page that fetches nothing; parts are the sections, lists and tables that
pages and reports have in common; svg draws without a script; charts says which charts there are;
static/ is what a browser runs. Nothing here serves, follows a service or knows where a run lies:
that is dashboard's and report's.
"""
