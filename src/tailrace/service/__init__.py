"""The inference service: models behind HTTP, one bounded queue and many threads a process.

`config` checks what was asked for, `workers` binds the socket and keeps the processes, `process`
runs one of them. Within it `guard` bounds what clients can take on each `connection`, `app` has
the routes, `endpoint` times and counts requests, `batcher` queues what they ask, `inference`
computes it on threads (`work` says what that is), `stages` keeps the time, `sheet` and `meter` the
counters. Nothing here decodes a picture or knows a tensor: that is `tailrace.models`. The load
generator never imports it: they meet over HTTP.
"""
