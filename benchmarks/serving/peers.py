"""The same model behind other servers: the highest rate with p99 under 100 ms, memory, cold start.

    python -m benchmarks.serving.install
    python -m benchmarks.serving.peers [--only litserve,ray] [--model shapes] [--cores 1]

Every server has the same cores, one worker a core, one inference thread a worker, the same
decoding, preprocessing and ONNX Runtime; the rate is found by `tailrace find` with the same limits
for all. Before each search the bare loop runs on the server's cores, so that a machine that became
slower in the meantime shows. A server whose answers are not those of `tailrace serve` is not
measured.
"""

import argparse
import contextlib
import json
import math
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.common import CLIENT_CORE, SERVER_CORE, need
from benchmarks.serving import contenders
from benchmarks.serving.bare import bare_per_s
from benchmarks.serving.contenders import Contender, ServedModel, picture_request
from benchmarks.serving.pictures import pictures
from benchmarks.serving.processes import Memory, prepare

Answer = dict[str, Any]

SLO = "p99<100ms"
_BARE_S = 3.0
_SCORE_TOLERANCE = 1e-4
_PIXEL_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one server."""

    contender: Contender
    rate_per_s: float | None
    """None if not even the lowest rate tried keeps the SLO."""
    confirmed: bool
    bare_per_s: float
    memory: Memory
    """After the search."""
    cold_start_s: float


def measure(
    contender: Contender,
    model: ServedModel,
    directory: Path,
    expected: Sequence[Answer],
    arguments: argparse.Namespace,
) -> Measured:
    """Starts a server, holds its answers to those expected, and searches."""
    workers, cores = arguments.workers, arguments.cores
    bare = bare_per_s(model, directory, _BARE_S, cores, workers)
    first = _pictures(directory)[0]
    with contenders.serving(contender, model, first, workers, cores) as running:
        url = running.base_url + contender.path
        for wanted, got in zip(expected, answers(url, directory), strict=True):
            if not same(wanted, got):
                sys.exit(f"{contender.title} answers {got}\ninstead of {wanted}")
        found = find(url, bare, directory, arguments)
        return Measured(
            contender,
            found["rate_per_s"],
            found["confirmed"],
            bare,
            running.memory(),
            running.cold_start_s,
        )


def answers(url: str, directory: Path) -> list[Answer]:
    """What a server says of each picture."""
    found = []
    for picture in _pictures(directory):
        with urlopen(picture_request(url, picture), timeout=60) as answer:
            found.append(json.loads(answer.read()))
    return found


def same(wanted: Answer, got: Answer) -> bool:
    """Whether two answers name the same objects in the same places."""
    rows = wanted["detections"], got["detections"]
    return len(rows[0]) == len(rows[1]) and all(
        (a["label"], a["class_id"]) == (b["label"], b["class_id"])
        and math.isclose(a["score"], b["score"], abs_tol=_SCORE_TOLERANCE)
        and all(
            math.isclose(x, y, abs_tol=_PIXEL_TOLERANCE)
            for x, y in zip(a["box"], b["box"], strict=True)
        )
        for a, b in zip(*rows, strict=True)
    )


def find(url: str, bare: float, directory: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """find.json of `tailrace find`, which is stopped after --limit seconds with what it has."""
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as out:
        search = subprocess.Popen(
            [
                *("taskset", "-c", CLIENT_CORE, sys.executable, "-m", "tailrace", "find", url),
                *("--slo", SLO, "--json", "--body", str(directory), "--out", out + "/run"),
                *("--start", f"{bare / 2:.1f}", "--max", f"{2 * bare:.1f}"),
                *("--for", arguments.search, "--timeout", "5s"),
            ],
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )
        with _killed_at_the_end(search):
            try:
                text, _ = search.communicate(timeout=arguments.limit)
            except subprocess.TimeoutExpired:
                search.send_signal(signal.SIGINT)
                text, _ = search.communicate(timeout=30)
    if not text:
        sys.exit(f"{url}: the search failed")
    found: dict[str, Any] = json.loads(text)
    return found


@contextlib.contextmanager
def _killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _pictures(directory: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(directory.iterdir())]


def report(measured: Sequence[Measured]) -> None:
    """Prints the table."""
    ours = measured[0].rate_per_s or 0.0
    print(
        f"| server | settings | highest rate with {SLO}, 1/s | Tailrace ÷ it | ÷ bare loop "
        "| memory (PSS), MB | processes | cold start, s |"
    )
    print("| --- " * 8 + "|")
    for each in measured:
        rate = each.rate_per_s
        shown = "none" if rate is None else f"{rate:,.1f}" + ("" if each.confirmed else " (?)")
        print(
            f"| {each.contender.title} | {each.contender.settings} | {shown} "
            f"| {f'{ours / rate:.2f}' if rate else '–'} | {(rate or 0) / each.bare_per_s:.2f} "
            f"| {each.memory.pss_mb:,.0f} | {each.memory.processes} | {each.cold_start_s:.1f} |"
        )
    if not all(each.confirmed for each in measured):
        print("(?): the longer run that should confirm the rate did not hold, or there was no time")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [each.name for each in contenders.PEERS_OF_THE_MODEL]
    parser.add_argument("--only", help=f"some of {','.join(names)}")
    parser.add_argument("--model", default="shapes", help="as `tailrace serve` takes it")
    parser.add_argument("--cores", default=SERVER_CORE, help="the servers', as 1,2")
    parser.add_argument("--pictures", type=Path, help="a folder of them; drawn ones by default")
    parser.add_argument("--search", default="60s", help="as `tailrace find --for` takes it")
    parser.add_argument("--limit", type=float, default=90.0, help="of one search, s")
    arguments = parser.parse_args()
    arguments.workers = len(arguments.cores.split(","))
    need("taskset")
    prepare(CLIENT_CORE)
    model = ServedModel.parse(arguments.model)
    only = set(arguments.only.split(",") if arguments.only else names)
    chosen = [
        contenders.tailrace(model, arguments.workers),
        *(each for each in contenders.PEERS_OF_THE_MODEL if each.name in only),
    ]
    print(f"at most {len(chosen) * (arguments.limit + 20) / 60:.0f} min", file=sys.stderr)
    measured = []
    with pictures(arguments.pictures) as directory:
        first = _pictures(directory)[0]
        with contenders.serving(chosen[0], model, first, 1, arguments.cores) as running:
            expected = answers(running.base_url + chosen[0].path, directory)
        for each in chosen:
            print(f"{each.title} ({each.settings})", file=sys.stderr)
            measured.append(measure(each, model, directory, expected, arguments))
    report(measured)


if __name__ == "__main__":
    main()
