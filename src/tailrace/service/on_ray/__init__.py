"""Replicas of the service on the nodes of a Ray cluster, by Ray Serve. Ray is an extra."""
