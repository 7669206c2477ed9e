"""Builds the container image and runs it where there is no Docker and no registry.

    apt-get install buildah debootstrap && python tools/try_image.py

buildah builds it, on a base that debootstrap makes. Its own command then serves within 1 CPU and
1 GiB (where control groups of version 1 can be made), without root, with a token: its health check
must pass, a request without the token be refused, and SIGTERM end it with 0. Needs root, a Debian
mirror and a package index.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BASE = "localhost/tailrace-base"
TOKEN = "secret"
HEALTHY_WITHIN_S = 90.0
GROUPS = {
    "cpu": {"cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": 100_000},
    "memory": {"memory.limit_in_bytes": 2**30},
}
AUTHORITIES = Path("etc/ssl/certs/ca-certificates.crt")
ASK = """
import json, urllib.error, urllib.request
def get(path, headers):
    return urllib.request.urlopen(
        urllib.request.Request("http://127.0.0.1:5000" + path, headers=headers)
    )
token = {"Authorization": "Bearer %s"}
try:
    refused = get("/gpu", {}).status
except urllib.error.HTTPError as error:
    refused = error.code
for _ in range(300):
    get("/gpu", token).read()
print(json.dumps([refused, json.load(get("/v2", token))["service"]]))
"""


def main() -> None:
    """Says what it does and found; ends with 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=("cpu", "cuda", "ray"), default="cpu")
    parser.add_argument("--keep", action="store_true", help="run the image of an earlier call")
    parser.add_argument("--mirror", help="of Debian; debootstrap knows one")
    given = parser.parse_args()
    os.environ |= {"BUILDAH_ISOLATION": "chroot"}
    os.environ.setdefault("STORAGE_DRIVER", "vfs")
    image = f"localhost/tailrace:{given.variant}"
    if not given.keep:
        if not _buildah("images", "--quiet", "--filter", f"reference={BASE}"):
            make_base(given.mirror)
        build(image, given.variant)
    print(_buildah("images", "--filter", f"reference={image}"))
    sys.exit(0 if run(image) else 1)


def make_base(mirror: str | None) -> None:
    """A Debian with Python, as the slim images of Docker Hub are."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        packages = "python3,python3-venv,ca-certificates"
        subprocess.run(
            [
                *("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", root),
                *([mirror] if mirror else []),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        # The index may stand behind a proxy that only this machine trusts.
        shutil.copy(Path("/") / AUTHORITIES, root / AUTHORITIES)
        (root / "etc/pip.conf").write_text(f"[global]\ncert = /{AUTHORITIES}\n")
        for rest in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / rest)
        container = _buildah("from", "scratch")
        subprocess.run(["cp", "-a", f"{root}/.", _buildah("mount", container)], check=True)
        _buildah("commit", "--rm", container, BASE)


def build(image: str, variant: str) -> None:
    """The image, as deploy/Dockerfile says. OCI's own format would leave the health check out."""
    arguments = {"BASE": BASE, "VARIANT": variant}
    subprocess.run(
        [
            *("buildah", "build", "--format", "docker", "--layers", "--tag", image),
            *("--file", "deploy/Dockerfile"),
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            ".",
        ],
        check=True,
        cwd=ROOT,
    )


def run(image: str) -> bool:
    """Whether the image's command does what it should."""
    settings = json.loads(_buildah("inspect", "--type", "image", image))["Docker"]["config"]
    command, check = settings["Entrypoint"] + settings["Cmd"], settings["Healthcheck"]["Test"][1:]
    container = _buildah("from", image)
    print("user", settings["User"], "runs", *command)
    try:
        with _groups() as groups:
            inside = ["buildah", "run", "--env", f"TAILRACE_TOKEN={TOKEN}", container, "--"]
            service = subprocess.Popen([*inside, *command], preexec_fn=lambda: _enter(groups))
            began_s = time.monotonic()
            healthy = False
            while not healthy and service.poll() is None:
                healthy = (
                    subprocess.run([*inside, *check], stderr=subprocess.DEVNULL).returncode == 0
                )
                if time.monotonic() - began_s > HEALTHY_WITHIN_S:
                    break
            print("healthy" if healthy else "NOT healthy", f"{time.monotonic() - began_s:.1f} s")
            refused, found = 0, {}
            if healthy:
                answer = subprocess.run(
                    [*inside, "python3", "-c", ASK % TOKEN], stdout=subprocess.PIPE, check=True
                )
                refused, found = json.loads(answer.stdout)
                print("without the token:", refused, "service:", found)
                _print_memory(groups)
            for pid in _descendants(service.pid):
                # What buildah runs it with has its words too, but is no Python.
                if _words(pid)[0].endswith("/python3") and "serve" in _words(pid):
                    os.kill(pid, signal.SIGTERM)
            code = service.wait(60)
            print("SIGTERM: ended with", code)
    finally:
        _buildah("rm", container)
    return healthy and refused == 401 and code == 0 and (not groups or found["cores"] == 1)


@contextmanager
def _groups() -> Iterator[list[Path]]:
    made = []
    try:
        for controller, files in GROUPS.items():
            group = Path("/sys/fs/cgroup") / controller / f"tailrace-image-{os.getpid()}"
            group.mkdir()
            made.append(group)
            for name, value in files.items():
                (group / name).write_text(str(value))
    except OSError as error:
        print("without limits: no control groups of version 1 can be made here:", error)
    try:
        yield made
    finally:
        for group in made:
            _remove(group)


def _remove(group: Path) -> None:
    ends_s = time.monotonic() + 10
    while group.exists():
        try:
            group.rmdir()
        except OSError:
            # What ended in it may take a moment to be gone.
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.1)


def _enter(groups: Sequence[Path]) -> None:
    for group in groups:
        (group / "cgroup.procs").write_text("0")


def _print_memory(groups: Sequence[Path]) -> None:
    for file in (group / "memory.max_usage_in_bytes" for group in groups):
        if file.exists():
            most_mib = int(file.read_text()) / 2**20
            print(f"memory: {most_mib:.0f} MiB at most, buildah's own included")


def _descendants(pid: int) -> Iterator[int]:
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            yield child
            yield from _descendants(child)


def _words(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def _buildah(*arguments: Any) -> str:
    done = subprocess.run(["buildah", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
