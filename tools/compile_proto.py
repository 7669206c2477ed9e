"""Compiles the gRPC interface's .proto to the Python messages beside it (`make proto`)."""

import argparse
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src"
PROTO = Path("tailrace/control/rpc/tailrace.proto")


def main() -> int:
    """Run protoc; the exit status is its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SOURCES, help="root to write below")
    out = parser.parse_args().out
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={SOURCES}"]
    command += [f"--python_out={out}", f"--pyi_out={out}", str(SOURCES / PROTO)]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
