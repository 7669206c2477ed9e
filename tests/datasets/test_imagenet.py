"""Reading ImageNet as MLPerf lays it out."""

from pathlib import Path

import pytest

from tailrace.datasets.imagenet import ImagenetDataset
from tailrace.errors import UsageError


def write_labels(root: Path, text: str, *names: str) -> None:
    (root / "val_map.txt").write_text(text)
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()


def test_images_and_labels(tmp_path: Path) -> None:
    names = ("ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000001.JPEG", "val/with space.JPEG")
    write_labels(tmp_path, f"{names[0]} 970\n{names[1]}  65 \n\n{names[2]} 0", *names)
    dataset = ImagenetDataset.open(tmp_path)
    assert dataset.map_file == tmp_path / "val_map.txt"
    assert [image.name for image in dataset.images] == list(names)
    assert [image.file for image in dataset.images] == [tmp_path / name for name in names]
    assert [image.label for image in dataset.images] == [970, 65, 0]


@pytest.mark.parametrize("line", ["a.JPEG", "65", "a.JPEG sixty", "a.JPEG -1", "a.JPEG 6.5", "a ²"])
def test_a_line_that_is_none(tmp_path: Path, line: str) -> None:
    write_labels(tmp_path, f"a.JPEG 1\n{line}\n", "a.JPEG")
    with pytest.raises(UsageError, match=r"val_map\.txt, line 2: "):
        ImagenetDataset.open(tmp_path)


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    write_labels(tmp_path, "a.JPEG 1\nb.JPEG 2\nc.JPEG 3\n", "b.JPEG")
    with pytest.raises(UsageError, match=r"lacks 2 of the 3 images .* a\.JPEG for one"):
        ImagenetDataset.open(tmp_path)


def test_no_map(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*val_map\.txt: No such file"):
        ImagenetDataset.open(tmp_path)
    write_labels(tmp_path, "\n")
    with pytest.raises(UsageError, match="lists no images"):
        ImagenetDataset.open(tmp_path)
    (tmp_path / "val_map.txt").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match="is not text"):
        ImagenetDataset.open(tmp_path)
