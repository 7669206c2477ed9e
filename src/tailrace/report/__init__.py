"""`tailrace report`: runs as one self-contained page, drawn by the very charts of the dashboard."""
