"""The search for the highest rate that keeps SLOs, as pure arithmetic.

Blocks of requests in, the next rate to try and the answer so far out. No clock, no session, no
file: who drives a search measures what it asks for.
"""
