"""What is counted and timed, and how it adds up: rows, histograms, an interval's sums.

To add a count, declare it in `measurement` and count it; to add a series, declare its percentiles
in `point` and record it. Whatever merges, sends or shows them goes by these declarations.

No socket, no judgement: what a figure means for an SLO is `judge`'s.
"""
