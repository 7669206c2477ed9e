"""Benchmarks of the inference service, with the bare loop, queueing theory and other servers as
peers: `python -m benchmarks.serving.NAME` from the repository's root."""
