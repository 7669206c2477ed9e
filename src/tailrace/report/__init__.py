"""`tailrace report`: runs as one self-contained page, drawn by the very charts of the dashboard.

`subject` reads the runs, `page` puts the page together from the sections in `overview`,
`differences`, `latency`, `stages`, `health` and `setting`; `bundle` packs what the browser needs.
"""
