"""gRPC: LoadControl as `tailrace.v1.LoadControl`, said in tailrace.proto.

Messages mirror the interface's own structs, field by field; `tailrace_pb2` is generated from the
.proto by `make proto`. Nothing here decides anything: server and codec only translate.
"""
