"""A worker process: it sends its share of the schedule in time and reports what came back.

Only what runs in that process, and the messages to and from it.
"""
