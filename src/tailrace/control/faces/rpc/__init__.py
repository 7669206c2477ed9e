"""gRPC: LoadControl as `tailrace.v1.LoadControl`.

Messages and calls are made from the interface's own structs and methods; tailrace.proto, for other
languages, is written from them by `make proto`. Nothing here decides anything: server and codec
only translate.
"""
