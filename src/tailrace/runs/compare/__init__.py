"""Runs compared: how far sides of several are apart (`between`), or two runs by their own noise
(`within`), what no chance explains (`outage`), and the gate of a build (`regression`).
"""
