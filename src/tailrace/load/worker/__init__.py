"""A worker process: it sends its share of the schedule in time and reports what came back.

Only what runs in that process, the messages to and from it, and how it is started.
"""
