"""The open-loop load generator.

A request's way: arrivals → profile → worker → client → HTTP → client → worker → histogram →
session. It knows nothing of models or of our own service: targets are URLs.
"""
