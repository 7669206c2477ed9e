"""What tests share: real servers, real programs, waiting, and data to begin with. No test is here,
and nothing that a single folder of tests uses.

| to | take |
| --- | --- |
| have an HTTP server that answers as a test says | `server`; by path, `peer` |
| have files fetched from a server that drops, stalls or refuses | `files` |
| have a server whose answers are timed to the microsecond | `queue_server` |
| have an address that refuses, or says nothing | `ports` |
| wait for something | `waiting` |
| run the product as its user does | `cli`; what goes on and prints lines, `programs` |
| run a command on a terminal | `terminal` |
| read the repository, or ../shared | `paths` |
| have an interval, a service, a search, a plan or a run | `samples` |
| have a Ray cluster | `ray_nodes` |
| have pictures whose bytes are odd | `pictures` |
| have a model that is quickly loaded | `models` |
| put hostile things in place of files | `hostile` |
"""
