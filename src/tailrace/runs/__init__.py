"""Runs that were made: their directories, written as a run goes and read back; lists, comparisons
and summaries of them.

Nothing is sent or served from here, and nothing drawn.
"""
