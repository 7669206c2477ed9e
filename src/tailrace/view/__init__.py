"""What draws, for live pages and for reports: words, tables, charts, SVG, documents.

words says how numbers and times read, markup makes HTML, tables those that both have, svg draws
without a script, charts says which charts there are, document makes a page that fetches nothing,
static/ is what a browser runs. Nothing here serves, follows a service or knows where a run lies:
that is dashboard's and report's.
"""
