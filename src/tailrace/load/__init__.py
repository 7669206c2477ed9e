"""The open-loop load generator, in rooms:

- `schedule`: when each request leaves; decided before the run, by arrivals and profile.
- `client`: HTTP: targets, bodies, connections, what an answer must be.
- `measure`: what is counted and timed: rows of requests, histograms, sums of them.
- `judge`: whether SLOs are kept, whether the figures are to be trusted.
- `search`: at which rates to measure for the highest that keeps SLOs, and what that says.
- `worker`: one process a core, which sends its share of the schedule.
- `on_ray`: workers on the nodes of a Ray cluster.
- `session`: a whole run: its workers, its changes while it runs, its result; series of runs.

A request's way: schedule → worker → client → HTTP → client → measure → session. Nothing here
knows models or our own service: targets are URLs.
"""
