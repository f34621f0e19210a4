"""What other datasets' classes mean: the files that come with the package, and mistakes in files of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sray.errors import FileError, ModelError, SrayError
from sray.label_space import INDOOR, NYU40, REPLICA, ROOMS, SCANNET20
from sray.segmentation import known_mappings, load_mapping

GOOD = """classes:
  - wall
  - windowpane, window
  - sky
to:
  rooms:
    wall: [wall]
    window: [windowpane]
"""


@pytest.mark.parametrize("space", [ROOMS, INDOOR, SCANNET20, REPLICA], ids=lambda space: space.name)
@pytest.mark.parametrize(
    ("name", "classes"),
    [("ade20k", 150), ("coco", 80 + 53 + 91 - 36), ("voc", 21), ("nyu40", 40), ("rooms", 16), ("indoor", 26)],
)
def test_the_files_that_come_with_the_package_are_whole(name: str, classes: int, space) -> None:
    """36 kinds of stuff are in both of COCO's lists."""
    mapping = load_mapping(name, space)
    assert len(set(mapping.names.values())) == classes
    assert mapping.meaning.keys() <= set(mapping.names.values())
    # A class of the same name in both means itself.
    for index, own in enumerate(space.names):
        assert mapping.meaning.get(own, index) == index
    assert set(known_mappings()) == {"ade20k", "coco", "indoor", "voc", "nyu40", "rooms"}


def test_nyu40_and_rooms_leave_no_class_of_theirs_out() -> None:
    for name, space in (
        ("nyu40", NYU40), ("nyu40", ROOMS), ("nyu40", INDOOR), ("nyu40", SCANNET20), ("nyu40", REPLICA),
        ("rooms", ROOMS), ("indoor", INDOOR), ("indoor", ROOMS), ("indoor", SCANNET20),
    ):  # fmt: skip
        meaning = load_mapping(name, space).meaning
        assert set(meaning.values()) == set(range(space.classes)), name
    assert len(load_mapping("nyu40", NYU40).meaning) == 40


@pytest.mark.parametrize(
    ("mapping", "space", "label", "meaning"),
    [
        ("ade20k", ROOMS, "bed ", "bed"),  # with the space that the hub's file has
        ("ade20k", ROOMS, "windowpane", "window"),
        ("ade20k", ROOMS, "window ", "window"),
        ("ade20k", ROOMS, "chest of drawers, chest, bureau, dresser", "cabinet"),
        ("ade20k", ROOMS, "swivel chair", "chair"),
        ("ade20k", ROOMS, "sky", None),
        ("ade20k", SCANNET20, "countertop", "counter"),
        ("ade20k", SCANNET20, "ceiling", None),
        ("ade20k", INDOOR, "kitchen island", "counter"),
        ("nyu40", INDOOR, "blinds", "window"),
        ("indoor", ROOMS, "counter", "table"),
        ("ade20k", REPLICA, "television receiver", "television"),
        ("coco", ROOMS, "wall-other-merged", "wall"),
        ("coco", ROOMS, "couch", "sofa"),
        ("coco", SCANNET20, "Floor_Wood", "floor"),
        ("coco", REPLICA, "window-blind", "blinds"),
        ("voc", ROOMS, "diningtable", "table"),
        ("voc", ROOMS, "background", None),
        ("nyu40", ROOMS, "shelves", "bookshelf"),
        ("rooms", SCANNET20, "lamp", None),
    ],
)
def test_what_labels_of_models_mean(mapping: str, space, label: str, meaning: str | None) -> None:
    table = load_mapping(mapping, space).table(["chair", label])
    column = int(table[1].argmax())
    assert table[1].sum() == 1
    assert column == (space.classes if meaning is None else space.names.index(meaning))


def test_several_names_of_one_model_may_mean_one_class(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    table = load_mapping(path, ROOMS).table(["window", "windowpane, glass", "wall", "sky"])
    assert table.nonzero().tolist() == [[0, 8], [1, 8], [2, 0], [3, 16]]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("    wall: [wall]", "    wal: [wall]", 7, ("'wal'", "a class of rooms", "wall, floor")),
        ("[windowpane]", "[pane]", 8, ("'pane' under window", "lists under classes")),
        ("[windowpane]", "[windowpane, wall]", 8, ("'wall' under window, already under wall", "once")),
        ("  - sky", "  - sky, window", 4, ("'window' again", "windowpane")),
        ("    window: [", "    wall: [", 7, ("'wall' twice",)),
        ("    wall: [wall]", "    wall: wall", 7, ("a list of names",)),
        ("  rooms:", "  flats:", 6, ("maps to flats", "label space rooms")),
        ("to:", "from:", 1, ("classes, from", "classes and to")),
        ("    wall: [wall]", "    wall: [wall", 8, ("is no YAML",)),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, words: tuple[str, ...]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(old, new))
    assert path.read_text() != GOOD
    with pytest.raises(SrayError) as error:
        load_mapping(path, ROOMS)
    assert isinstance(error.value, FileError)
    for each in (f"{path} line {line} ", *words):
        assert each in str(error.value)


def test_a_mapping_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    for path in ("cityscapes", tmp_path / "none.yaml"):
        with pytest.raises(SrayError) as error:
            load_mapping(path, ROOMS)
        assert "does not exist" in str(error.value) and "ade20k, coco, indoor, nyu40, rooms, voc" in str(error.value)
    with pytest.raises(SrayError) as error:
        load_mapping(tmp_path, ROOMS)
    assert "cannot be read" in str(error.value)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["LABEL_0", "LABEL_1"], ("2 classes of 2", "'LABEL_0', 'LABEL_1'", "id2label")),
        (["wall", "guard rail"], ("1 classes of 2", "'guard rail'")),
        (["sky", "tree"], ("none of the model's 2 classes means one of label space rooms",)),
    ],
)
def test_a_model_of_other_names_is_refused(labels: list[str], words: tuple[str, ...]) -> None:
    with pytest.raises(SrayError) as error:
        load_mapping("ade20k", ROOMS).table(labels)
    assert isinstance(error.value, ModelError)
    for each in words:
        assert each in str(error.value)
