"""Fetching COCO from a server that has its paths, and drawn pictures."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from tailrace.datasets import shapes
from tailrace.datasets.coco import CocoDataset
from tailrace.datasets.fetch import ANNOTATIONS, ARCHIVE, PICTURES, Step, fetch_coco
from tailrace.errors import TailraceError, UsageError
from tests.kit.files import CocoServer, zipped

IDS = [581781, 139, 285, 724, 37777, 87038]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes under ids that are in no order, as COCO's are not."""
    folder = tmp_path_factory.mktemp("drawn")
    written = shapes.generate(folder, count=len(IDS), seed=0)
    document = json.loads(written.read_text())
    for row in document["images"]:
        (folder / "val2017" / row["file_name"]).rename(
            folder / "val2017" / f"{IDS[row['id'] - 1]:012d}.jpg"
        )
        row["id"] = IDS[row["id"] - 1]
        row["file_name"] = f"{row['id']:012d}.jpg"
    for row in document["annotations"]:
        row["image_id"] = IDS[row["image_id"] - 1]
    written.write_text(json.dumps(document))
    return folder


@pytest.fixture
def server(drawn: Path) -> Iterator[CocoServer]:
    server = CocoServer(drawn)
    yield server
    server.close()


def names_of(*ids: int) -> list[str]:
    return [f"{number:012d}.jpg" for number in ids]


def pictures_in(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "val2017").iterdir())


def test_the_first_by_id(server: CocoServer, drawn: Path, tmp_path: Path) -> None:
    steps: list[tuple[Step, int, int | None]] = []
    written = fetch_coco(tmp_path, 3, lambda *step: steps.append(step), url=server.url)
    assert written == tmp_path / "annotations" / "instances_val2017.json"
    assert server.asked_for() == [
        "/annotations/annotations_trainval2017.zip",
        *(f"/val2017/{name}" for name in names_of(139, 285, 724)),
    ]
    assert pictures_in(tmp_path) == names_of(139, 285, 724)
    for name in pictures_in(tmp_path):
        assert (tmp_path / "val2017" / name).read_bytes() == (drawn / "val2017" / name).read_bytes()
    dataset = CocoDataset.open(tmp_path)
    assert [image.id for image in dataset.images] == [139, 285, 724]
    cut, whole = COCO(written), COCO(drawn / "annotations/instances_val2017.json")
    assert cut.getCatIds() == whole.getCatIds()
    assert cut.loadAnns(cut.getAnnIds()) == whole.loadAnns(whole.getAnnIds(imgIds=[139, 285, 724]))
    assert {step for step, _, _ in steps} == {ANNOTATIONS, PICTURES}
    assert [done for step, done, total in steps if step == PICTURES and total == 3] == [0, 1, 2, 3]


def test_more_are_added(server: CocoServer, tmp_path: Path) -> None:
    fetch_coco(tmp_path, 2, url=server.url)
    server.asked_for()
    fetch_coco(tmp_path, 4, url=server.url)
    assert server.asked_for() == [f"/val2017/{name}" for name in names_of(724, 37777)]
    assert [image.id for image in CocoDataset.open(tmp_path).images] == [139, 285, 724, 37777]
    fetch_coco(tmp_path, 4, url=server.url)
    fetch_coco(tmp_path, 1, url=server.url)
    assert server.asked_for() == []
    assert [image.id for image in CocoDataset.open(tmp_path).images] == [139]


def test_all_of_it(server: CocoServer, tmp_path: Path) -> None:
    fetch_coco(tmp_path, 1, url=server.url)
    server.asked_for()
    steps: list[tuple[Step, int, int | None]] = []
    fetch_coco(tmp_path, None, lambda *step: steps.append(step), url=server.url)
    assert server.asked_for() == ["/zips/val2017.zip"]
    assert pictures_in(tmp_path) == names_of(*sorted(IDS))
    assert len(CocoDataset.open(tmp_path).images) == 6
    assert [done for step, done, _ in steps if step == PICTURES] == [2, 3, 4, 5, 6]
    size = len(server.files["/zips/val2017.zip"])
    assert [step for step in steps if step[0] == ARCHIVE][-1] == (ARCHIVE, size, size)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["annotations", "val2017"]
    fetch_coco(tmp_path, None, url=server.url)
    assert server.asked_for() == []


def test_a_run_that_failed_goes_on(server: CocoServer, tmp_path: Path) -> None:
    path = f"/val2017/{names_of(37777)[0]}"
    lost = server.files.pop(path)
    with pytest.raises(TailraceError, match=f"answers 404 .*{path}"):
        fetch_coco(tmp_path, 6, url=server.url)
    assert not (tmp_path / "annotations/instances_val2017.json").exists()
    had = {f"/val2017/{name}" for name in pictures_in(tmp_path) if name.endswith(".jpg")}
    server.files[path] = lost
    server.asked_for()
    fetch_coco(tmp_path, 6, url=server.url)
    assert path in server.asked
    assert not had & set(server.asked)
    assert pictures_in(tmp_path) == names_of(*sorted(IDS))


def test_a_page_in_place_of_a_picture(server: CocoServer, tmp_path: Path) -> None:
    server.files[f"/val2017/{names_of(139)[0]}"] = b"<html>please log in</html>"
    with pytest.raises(TailraceError, match="is no JPEG: what answers"):
        fetch_coco(tmp_path, 1, url=server.url)
    assert pictures_in(tmp_path) == []


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"annotations/other.json": b"{}"}, "has no annotations/instances_val2017.json"),
        ({"annotations/instances_val2017.json": b"{}"}, "is not COCO's"),
        ({"annotations/instances_val2017.json": b"<html>"}, "is not COCO's"),
        (
            {
                "annotations/instances_val2017.json": b'{"annotations": [], "images":'
                b'[{"id": 1, "file_name": "../escaped.jpg"}]}'
            },
            "'../escaped.jpg', which is no file name",
        ),
    ],
)
def test_other_annotations(
    server: CocoServer, tmp_path: Path, members: dict[str, bytes], complaint: str
) -> None:
    """They are refused; where they are no annotations of COCO's, a later call asks again."""
    path = "/annotations/annotations_trainval2017.zip"
    server.files[path] = zipped(members)
    with pytest.raises(TailraceError, match=complaint):
        fetch_coco(tmp_path, 1, url=server.url)
    assert server.asked_for() == [path]
    assert not (tmp_path / "val2017").exists()
    if "escaped" not in complaint:
        with pytest.raises(TailraceError, match=complaint):
            fetch_coco(tmp_path, 1, url=server.url)
        assert server.asked_for() == [path]


@pytest.mark.parametrize("what", ["broken", "short"])
def test_a_broken_archive_is_asked_for_again(server: CocoServer, tmp_path: Path, what: str) -> None:
    path = "/zips/val2017.zip"
    whole = server.files[path]
    if what == "short":
        server.files[path] = zipped({f"val2017/{names_of(139)[0]}": b"\xff\xd8\xff"})
    else:
        server.files[path] = whole[:1000]
    with pytest.raises(TailraceError, match=r"val2017\.zip is broken"):
        fetch_coco(tmp_path, None, url=server.url)
    server.files[path] = whole
    fetch_coco(tmp_path, None, url=server.url)
    assert len(CocoDataset.open(tmp_path).images) == 6


def test_how_many(server: CocoServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 or more, not 0"):
        fetch_coco(tmp_path, 0, url=server.url)
    assert server.asked_for() == []
    with pytest.raises(UsageError, match="has 6 pictures, not 7"):
        fetch_coco(tmp_path, 7, url=server.url)


def test_real_pictures(tmp_path: Path, coco_mini: Path) -> None:
    with contextlib.closing(CocoServer(coco_mini)) as server:
        fetch_coco(tmp_path, 20, url=server.url)
        first = sorted(int(file.stem) for file in (coco_mini / "val2017").iterdir())[:20]
        assert [image.id for image in CocoDataset.open(tmp_path).images] == first
        fetch_coco(tmp_path, None, url=server.url)
    assert len(CocoDataset.open(tmp_path).images) == 79
    read, own = (
        json.loads((folder / "annotations/instances_val2017.json").read_text())
        for folder in (tmp_path, coco_mini)
    )
    assert read["annotations"] == own["annotations"]
    assert read["images"] == sorted(own["images"], key=lambda row: int(row["id"]))
