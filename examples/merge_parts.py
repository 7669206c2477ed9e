"""What runs measured that sent one schedule in parts (`tailrace load --part I/N`), taken together.

    python examples/merge_parts.py runs/fleet-0 runs/fleet-1 runs/fleet-2

Percentiles of parts cannot be averaged; their histograms can be added up, which loses nothing.
"""

import json
import sys
from pathlib import Path

from tailrace.runs.histogram_log import merge_log

PERCENTS = (50, 90, 99, 99.9, 100)


def main() -> None:
    """Prints what the runs named on the command line measured, as one."""
    runs = [Path(name) for name in sys.argv[1:]]
    asked = [json.loads((run / "run.json").read_text()) for run in runs]
    results = [json.loads((run / "result.json").read_text()) for run in runs]
    given = sorted(plan["part"] for plan in asked)
    whole = sorted(f"{index}/{len(runs)}" for index in range(len(runs)))
    if given != whole:
        sys.exit(f"these are parts {', '.join(given)}, not one schedule's {', '.join(whole)}")
    logs = ((run / "latency.hlog").read_bytes() for run in runs)
    together = merge_log(line for log in logs for line in log.splitlines())
    completed = sum(result["completed"] for result in results)
    failed = sum(sum(result["failed"].values()) for result in results)
    print(f"{len(runs)} parts: completed {completed:,}, failed {failed:,}")
    for percent, value_us in zip(PERCENTS, together.percentile_us(*PERCENTS), strict=True):
        print(f"p{percent:<5g} {value_us / 1e3:10.2f} ms")


if __name__ == "__main__":
    main()
