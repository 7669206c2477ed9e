"""gRPC: LoadControl as `tailrace.v1.LoadControl`, said in tailrace.proto.

Messages mirror the interface's own structs, field by field; `tailrace_pb2` is generated from the
.proto by `make proto`. Nothing here decides anything: server and codec only translate.
"""

import os

# gRPC's own handlers around fork are not made for its asyncio side: under uvloop, which forks to
# start a process, some load workers die in them before they begin. gRPC reads this when it is
# first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
