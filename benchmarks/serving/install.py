"""Installs the peers, each into a virtual environment of its own outside the repository.

    python -m benchmarks.serving.install [NAME...]

Each gets the very versions of ONNX Runtime, NumPy and OpenCV that Tailrace has here. What is
installed already is left as it is.
"""

import argparse
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).with_name("peers")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tailrace" / "bench"
SHARED = ("onnxruntime", "numpy", "opencv-python-headless", "msgspec")
"""What `tailrace.models` needs. Tailrace itself is put beside them without the rest of its own."""


def names() -> list[str]:
    """Names of all peers."""
    return sorted(file.parent.name for file in PEERS.glob("*/requirements.txt"))


def program(peer: str, name: str) -> str:
    """A program in a peer's environment; exits with a clear line if it is not installed."""
    path = CACHE / peer / "bin" / name
    if not _current(peer) or not path.exists():
        sys.exit(f"{peer} is not installed: python -m benchmarks.serving.install {peer}")
    return str(path)


def install(peer: str) -> None:
    """Makes the environment of a peer, unless it is there.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why on stderr.
    """
    if _current(peer):
        print(f"{peer}: installed already", file=sys.stderr)
        return
    print(f"{peer}: installing into {CACHE / peer}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(CACHE / peer)], check=True)
    pip = [str(CACHE / peer / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    for what in (
        ["-r", str(PEERS / peer / "requirements.txt"), *_shared()],
        ["--no-deps", "--editable", str(ROOT)],
    ):
        subprocess.run([*pip, *what], check=True, stdout=sys.stderr)
    _stamp(peer).write_text(_wanted(peer))


def _shared() -> list[str]:
    return [f"{name}=={version(name)}" for name in SHARED]


def _wanted(peer: str) -> str:
    return "\n".join([(PEERS / peer / "requirements.txt").read_text(), *_shared()])


def _stamp(peer: str) -> Path:
    return CACHE / peer / "installed.txt"


def _current(peer: str) -> bool:
    stamp = _stamp(peer)
    return stamp.exists() and stamp.read_text() == _wanted(peer)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names()):
        parser.error(f"there is no {', '.join(sorted(unknown))}: there are {', '.join(names())}")
    for name in arguments.names or names():
        try:
            install(name)
        except subprocess.CalledProcessError as error:
            sys.exit(f"{name} could not be installed: {error}")


if __name__ == "__main__":
    main()
