"""Tailrace: MLPerf models behind HTTP, and their tail latency under open-loop load."""

from importlib.metadata import version

__version__ = version("tailrace")
