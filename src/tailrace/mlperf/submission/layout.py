"""The folders and files of a submission, as MLPerf Inference v6.0 has them.

    <root>/<division>/<submitter>/
        systems/<system>.json
        src/<model>/README.md
        results/<system>/<model>/<Scenario>/
            measurements.json  user.conf  README.md
            performance/run_1/mlperf_log_*
            accuracy/mlperf_log_*
            find_peak/mlperf_log_*

The last is ours: MLPerf takes no search for the peak. Up to v5.1 what is now in `src` was in
`code`. Source: MLPerf's submission checker (tools/submission, v6.0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tailrace.download.part import unwritable, write_whole
from tailrace.errors import TailraceError, UsageError
from tailrace.mlperf.outcome import Mode
from tailrace.mlperf.scenario import Scenario, find_scenario
from tailrace.untrusted import UnreadableError, read_json

DIVISIONS = ("open", "closed", "network")
_FOLDERS: Mapping[Mode, str] = {
    "performance": "performance/run_1",
    "accuracy": "accuracy",
    "find-peak": "find_peak",
}
_MOST_BYTES = 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a submission a test lies."""

    division: str
    submitter: str
    system: str
    model: str
    scenario: Scenario
    mode: Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the files of one model in one scenario go.

    Raises:
        UsageError: a name cannot be that of a folder, or there is no such division.
    """

    root: Path
    system: str
    """MLPerf's system_desc_id; see `tailrace.mlperf.submission.machine.system_desc_id`."""
    model: str
    scenario: Scenario
    division: str = "open"
    submitter: str = "local"

    def __post_init__(self) -> None:
        if self.division not in DIVISIONS:
            raise UsageError(
                f"there is no division {self.division!r}: there are {', '.join(DIVISIONS)}"
            )
        for what, name in (
            ("system", self.system),
            ("model", self.model),
            ("submitter", self.submitter),
        ):
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"{name!r} cannot name a {what} in a submission: use letters, digits, "
                    "'.', '_' and '-', 100 at most, the first a letter or digit"
                )

    @property
    def scenario_folder(self) -> Path:
        """Of all tests of the model in the scenario."""
        results = self._submitter_folder / "results"
        return results / self.system / self.model / self.scenario.loadgen_name

    @property
    def user_conf(self) -> Path:
        """LoadGen's settings for these tests."""
        return self.scenario_folder / "user.conf"

    @property
    def measurements(self) -> Path:
        """What was done to the model."""
        return self.scenario_folder / "measurements.json"

    @property
    def system_file(self) -> Path:
        """The description of the system."""
        return self._submitter_folder / "systems" / f"{self.system}.json"

    @property
    def _submitter_folder(self) -> Path:
        return self.root / self.division / self.submitter

    def test_folder(self, mode: Mode) -> Path:
        """Where LoadGen's logs of a test go."""
        return self.scenario_folder / _FOLDERS[mode]

    def prepare(self, mode: Mode) -> Path:
        """Makes the folder for the logs of a test, and returns it.

        Raises:
            TailraceError: there is a test already, which is left as it is; or the folder cannot be
                made.
        """
        folder = self.test_folder(mode)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TailraceError(f"cannot make {folder}: {error.strerror or error}") from error
        self.check(mode)
        return folder

    def check(self, mode: Mode) -> None:
        """Finds out whether a test would be overwritten.

        Raises:
            TailraceError: one would, or its folder cannot be read.
        """
        folder = self.test_folder(mode)
        try:
            taken = folder.exists() and any(folder.iterdir())
        except OSError as error:
            raise TailraceError(f"cannot read {folder}: {error.strerror or error}") from error
        if taken:
            raise TailraceError(
                f"there is a test in {folder} already, and nothing of it is overwritten: choose "
                "another --out, or move it away"
            )

    def write_system(self, description: Mapping[str, object]) -> Path:
        """Writes the description of the system. What a former one says stays as it is, apart from
        what is empty there: someone may have filled it in.

        Raises:
            TailraceError: it cannot be written, or a former one cannot be read.
        """
        known = _read_object(self.system_file)
        filled = {key: value for key, value in known.items() if value not in ("", None)}
        return _write_json(self.system_file, {**known, **description, **filled})

    def write_measurements(
        self,
        *,
        input_data_types: str,
        retraining: str,
        starting_weights_filename: str,
        weight_data_types: str,
        weight_transformations: str,
    ) -> Path:
        """Writes what was done to the model, in MLPerf's words; it wants none of them empty.

        Raises:
            TailraceError: it cannot be written.
        """
        values = {
            "input_data_types": input_data_types,
            "retraining": retraining,
            "starting_weights_filename": starting_weights_filename,
            "weight_data_types": weight_data_types,
            "weight_transformations": weight_transformations,
        }
        return _write_json(self.measurements, values)

    def write_user_conf(self, text: str) -> Path:
        """Writes LoadGen's settings for these tests, over former ones.

        Raises:
            TailraceError: it cannot be written.
        """
        return _write(self.user_conf, text)

    def write_readmes(self, command: str) -> tuple[Path, Path]:
        """Notes in both README.md, the scenario's and the source's, the command that ran a test.

        Raises:
            TailraceError: one cannot be written, or a former one cannot be read.
        """
        scenario = self.scenario_folder / "README.md"
        source = self._submitter_folder / "src" / self.model / "README.md"
        _note(scenario, f"{self.model}, {self.scenario.loadgen_name}", command)
        _note(source, self.model, command)
        return scenario, source


def place_of(folder: Path) -> Place | None:
    """Where in a submission a test's folder lies; None if it is in none."""
    parts = folder.absolute().parts
    for mode, inner in _FOLDERS.items():
        depth = len(Path(inner).parts)
        above = parts[:-depth]
        if len(above) < 6 or not _is_test(parts[-depth:], mode):
            continue
        division, submitter, results, system, model, scenario = above[-6:]
        if results != "results" or division not in DIVISIONS:
            continue
        try:
            return Place(division, submitter, system, model, find_scenario(scenario), mode)
        except UsageError:
            continue
    return None


def _is_test(parts: tuple[str, ...], mode: Mode) -> bool:
    if mode == "performance":
        return parts[0] == "performance" and re.fullmatch(r"run_\d+", parts[1]) is not None
    return "/".join(parts) == _FOLDERS[mode]


def _note(file: Path, title: str, command: str) -> None:
    line = f"    {' '.join(command.split())}"
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = f"# {title}\n\nRun with Tailrace, which drives MLPerf's LoadGen:\n\n"
    except OSError as error:
        raise TailraceError(f"cannot read {file}: {error.strerror or error}") from error
    if line not in text.split("\n"):
        _write(file, f"{text}{line}\n")


def _read_object(file: Path) -> dict[str, Any]:
    try:
        return read_json(file, dict[str, Any], _MOST_BYTES) or {}
    except UnreadableError as error:
        raise TailraceError(f"{file.parent}: {error}") from error


def _write_json(file: Path, values: Mapping[str, object]) -> Path:
    return _write(file, msgspec.json.format(msgspec.json.encode(values), indent=2).decode() + "\n")


def _write(file: Path, text: str) -> Path:
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise unwritable(file, error) from error
    return file
