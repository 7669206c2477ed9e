"""A run as a whole: starts the workers, passes on changes, adds up reports, makes the result.

No request is sent from here.
"""
