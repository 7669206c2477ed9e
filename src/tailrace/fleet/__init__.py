"""Past one machine, with Ray: load workers and replicas of the service on the nodes of a cluster.

The only package that imports Ray, which is an extra; everything else works without it.
"""
