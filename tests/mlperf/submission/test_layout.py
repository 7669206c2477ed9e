import json
from pathlib import Path

import pytest

from tailrace.errors import TailraceError, UsageError
from tailrace.mlperf.outcome import Mode
from tailrace.mlperf.scenario import SERVER
from tailrace.mlperf.submission.layout import Layout, Place, place_of

MODES: tuple[Mode, ...] = ("performance", "accuracy", "find-peak")


def layout(root: Path, **more: str) -> Layout:
    return Layout(root=root, system="epyc-2c", model="shapes", scenario=SERVER, **more)


@pytest.mark.parametrize(
    ("mode", "folder"),
    [
        ("performance", "open/local/results/epyc-2c/shapes/Server/performance/run_1"),
        ("accuracy", "open/local/results/epyc-2c/shapes/Server/accuracy"),
        ("find-peak", "open/local/results/epyc-2c/shapes/Server/find_peak"),
    ],
)
def test_folders_are_mlperfs(mode: Mode, folder: str, tmp_path: Path) -> None:
    assert layout(tmp_path).prepare(mode) == tmp_path / folder
    assert (tmp_path / folder).is_dir()


@pytest.mark.parametrize("mode", MODES)
def test_a_test_is_never_overwritten(mode: Mode, tmp_path: Path) -> None:
    folder = layout(tmp_path).prepare(mode)
    log = folder / "mlperf_log_detail.txt"
    log.write_text("precious")
    with pytest.raises(TailraceError, match="choose another --out"):
        layout(tmp_path).prepare(mode)
    assert log.read_text() == "precious"


def test_other_modes_add_up_in_the_same_place(tmp_path: Path) -> None:
    for mode in MODES:
        (layout(tmp_path).prepare(mode) / "mlperf_log_detail.txt").touch()
    assert len(list(tmp_path.rglob("mlperf_log_detail.txt"))) == 3


def test_a_folder_left_empty_is_used(tmp_path: Path) -> None:
    assert layout(tmp_path).prepare("accuracy") == layout(tmp_path).prepare("accuracy")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("a file")
    with pytest.raises(TailraceError, match="cannot make"):
        layout(tmp_path).prepare("performance")


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../x", "-x", "ä", "a b", "x" * 101, "a\n"])
def test_names_that_are_no_folders_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a submitter"):
        layout(tmp_path, submitter=name)
    with pytest.raises(UsageError, match="cannot name a system"):
        Layout(root=tmp_path, system=name, model="shapes", scenario=SERVER)


def test_there_are_three_divisions(tmp_path: Path) -> None:
    assert layout(tmp_path, division="network").division == "network"
    with pytest.raises(UsageError, match="no division 'ajar'"):
        layout(tmp_path, division="ajar")


def test_writes_the_files_beside_the_logs(tmp_path: Path) -> None:
    here = layout(tmp_path, division="closed", submitter="Acme")
    here.write_system({"system_name": "x"})
    here.write_measurements(
        input_data_types="uint8",
        retraining="N",
        starting_weights_filename="shapes.onnx",
        weight_data_types="fp32",
        weight_transformations="none",
    )
    here.write_user_conf("# none\n")
    here.write_readmes("tailrace mlperf shapes")
    scenario = "closed/Acme/results/epyc-2c/shapes/Server"
    files = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {
        "closed/Acme/systems/epyc-2c.json",
        "closed/Acme/src/shapes/README.md",
        f"{scenario}/measurements.json",
        f"{scenario}/user.conf",
        f"{scenario}/README.md",
    }
    assert here.user_conf.read_text() == "# none\n"
    assert json.loads(here.measurements.read_text())["retraining"] == "N"


def test_what_someone_has_filled_in_stays(tmp_path: Path) -> None:
    here = layout(tmp_path)
    here.write_system({"cooling": "", "status": "rdi", "framework": "1.0"})
    known = json.loads(here.system_file.read_text())
    here.system_file.write_text(json.dumps({**known, "cooling": "water", "own": "x"}))
    here.write_system({"cooling": "", "status": "available", "hw_notes": "new"})
    assert json.loads(here.system_file.read_text()) == {
        "cooling": "water",
        "status": "rdi",
        "framework": "1.0",
        "own": "x",
        "hw_notes": "new",
    }


def test_a_broken_description_is_not_overwritten(tmp_path: Path) -> None:
    here = layout(tmp_path)
    here.write_system({})
    here.system_file.write_text("{ half")
    with pytest.raises(TailraceError, match="cannot be read"):
        here.write_system({"status": "rdi"})
    assert here.system_file.read_text() == "{ half"


def test_readme_has_each_command_once(tmp_path: Path) -> None:
    here = layout(tmp_path)
    for command in ("tailrace a", "tailrace b", "tailrace a"):
        scenario, source = here.write_readmes(command)
    for file in (scenario, source):
        lines = file.read_text().splitlines()
        assert lines[0].startswith("# shapes")
        assert lines[-2:] == ["    tailrace a", "    tailrace b"]


@pytest.mark.parametrize("mode", MODES)
def test_a_place_is_found_again(mode: Mode, tmp_path: Path) -> None:
    folder = layout(tmp_path, division="network").test_folder(mode)
    assert place_of(folder) == Place("network", "local", "epyc-2c", "shapes", SERVER, mode)


def test_later_runs_are_places_too(tmp_path: Path) -> None:
    folder = layout(tmp_path).test_folder("performance").with_name("run_2")
    place = place_of(folder)
    assert place is not None
    assert place.mode == "performance"


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "accuracy",
        "open/local/results/s/m/Server",
        "open/local/results/s/m/Sever/accuracy",
        "ajar/local/results/s/m/Server/accuracy",
        "open/local/compliance/s/m/Server/accuracy",
        "open/local/results/s/m/Server/performance/run_x",
    ],
)
def test_elsewhere_is_no_place(path: str, tmp_path: Path) -> None:
    assert place_of(tmp_path / path) is None
