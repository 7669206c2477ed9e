"""A session's workers on the nodes of a Ray cluster. Ray is an extra: nothing but this package,
the service's `on_ray` and `tailrace.cluster` imports it.
"""
