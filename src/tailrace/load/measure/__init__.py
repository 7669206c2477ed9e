"""What is counted and timed, and how it adds up: rows, histograms, an interval's sums.

No socket, no judgement: what a figure means for an SLO is `judge`'s.
"""
