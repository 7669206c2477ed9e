"""Runs as one self-contained page, drawn by the very charts of the live pages.

`subject` reads the runs, `page` puts the page together from the sections in `overview`,
`differences`, `latency` and `facts`, and of a search in `searched`; `bundle` packs what the browser
needs. Nothing here serves: a control room puts a frame around a page.
"""
