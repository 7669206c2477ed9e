"""Labelled pictures: readers and fetchers of public data sets, and generators of drawn ones.

What lives here turns files, addresses or seeds into pictures with their annotations. Nothing here
knows about models, load or the service; of Tailrace it may import only download, errors and units.
"""
