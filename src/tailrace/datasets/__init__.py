"""Labelled pictures: readers of public data sets, and generators of drawn ones.

What lives here turns files or seeds into pictures with their annotations. Nothing here knows
about models, load or the service; of Tailrace it may import only errors and units.
"""
