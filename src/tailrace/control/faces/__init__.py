"""How LoadControl is asked for from outside: REST, gRPC and the original's URLs.

A face reads a request, calls a method of LoadControl and writes what it returns or raises. It
decides nothing, keeps no state of a service, and knows no page; who may ask at all is decided
before it (`tailrace.dashboard.access`, `rpc.access`). Next to REST's and gRPC's stand the
clients of them that `tailrace.connect` uses.
"""
