"""Memory for 8-fold concurrency: `tailrace serve --concurrency 8` against gunicorn -w 8.

    python -m benchmarks.serving.memory [--model "ssd-mobilenet --twin"] [--fold 8]

The original runs eight processes, each with its own copy of the model. Both serve for a few
seconds, with every thread or process at work, before their proportional set size is read: a page
that eight processes share counts once.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.common import CLIENT_CORE, SERVER_CORE, need, saturated_per_s
from benchmarks.serving import contenders
from benchmarks.serving.contenders import Contender, ServedModel
from benchmarks.serving.pictures import pictures
from benchmarks.serving.processes import Memory, prepare

_SECONDS = 5
_CEILING_PER_S = 2000.0


def measure(
    contender: Contender, model: ServedModel, directory: Path, arguments: argparse.Namespace
) -> tuple[Memory, Memory]:
    """Once the server answers, and after it has been saturated."""
    picture = next(iter(sorted(directory.iterdir()))).read_bytes()
    fold, cores = arguments.fold, arguments.cores
    with contenders.serving(contender, model, picture, fold, cores) as running:
        fresh = running.memory()
        saturated_per_s(
            running.base_url + contender.path,
            _CEILING_PER_S,
            2 * fold,
            _SECONDS,
            *("--body", str(directory)),
        )
        return fresh, running.memory()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", help="as `tailrace serve` takes it; repeatable")
    parser.add_argument("--fold", type=int, default=8)
    parser.add_argument("--cores", default=SERVER_CORE, help="the servers', as 1,2")
    arguments = parser.parse_args()
    need("taskset")
    prepare(CLIENT_CORE)
    models = [
        ServedModel.parse(text) for text in arguments.model or ("shapes", "ssd-mobilenet --twin")
    ]
    print(f"about {len(models) * 2 * (_SECONDS + 6)} s", file=sys.stderr)
    print("| model | its file, MB | server | processes | PSS at start, MB | at work | ÷ Tailrace |")
    print("| --- " * 7 + "|")
    with pictures() as directory:
        for model in models:
            ours = 0.0
            for contender, settings in (
                (contenders.tailrace(model, arguments.fold), f"--concurrency {arguments.fold}"),
                (contenders.FLASK, f"-w {arguments.fold}"),
            ):
                fresh, worked = measure(contender, model, directory, arguments)
                ours = ours or worked.pss_mb
                print(
                    f"| {model} | {model.file.stat().st_size / 1e6:.1f} "
                    f"| {contender.title} {settings} | {worked.processes} "
                    f"| {fresh.pss_mb:,.0f} | {worked.pss_mb:,.0f} | {worked.pss_mb / ours:.2f} |"
                )


if __name__ == "__main__":
    main()
