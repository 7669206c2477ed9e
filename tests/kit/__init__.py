"""What tests share: real servers, real programs, waiting, and data to begin with. No test is here,
and nothing that a single folder of tests uses.

| to | take |
| --- | --- |
| have an HTTP server that answers as a test says | `server`; by path, `peer` |
| have files fetched from a server that drops, stalls or refuses | `files` |
| have a server whose answers are timed to the microsecond | `queue_server` |
| have a server with a certificate | `tls` |
| have an address that refuses, or says nothing | `ports` |
| wait for something | `waiting` |
| have time that passes when the test says so | `clock` |
| be on the loop that load workers have; a pool of their connections | `loop`; `pools` |
| run the product as its user does | `cli`; what goes on and prints lines, `programs` |
| run a command on a terminal | `terminal` |
| read the repository, or ../shared | `paths` |
| have an interval, a service or a search | `samples` |
| have a plan, a run, what it leaves, or its load workers | `plans` |
| open a page in a browser | `browser` |
| have a Ray cluster | `ray_nodes` |
| have pictures whose bytes are odd | `pictures` |
| have a model that is quickly loaded | `models` |
| put hostile things in place of files | `hostile` |
"""
