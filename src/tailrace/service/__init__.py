"""The inference service: models behind HTTP, one bounded queue and many threads a process.

`config` checks what was asked for, `workers` binds the socket and keeps the processes,
`process` runs one of them; within it `app` has the routes, `bodies` reads requests, `pool` runs
`predict` on threads, `stages` keeps the time. Nothing here decodes a picture or knows a tensor:
that is `tailrace.models`. The load generator never imports it: they meet over HTTP.
"""
