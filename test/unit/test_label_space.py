"""Label spaces: conversions from and to NYU40, colors, refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sray.label_space import LABEL_SPACES, ROOMS, SCANNET20, VOID, LabelSpace

SPACES = pytest.mark.parametrize("space", list(LABEL_SPACES.values()), ids=list(LABEL_SPACES))


@SPACES
def test_every_class_survives_the_way_to_disk_and_back(space: LabelSpace) -> None:
    indices = np.array([*range(space.classes), VOID], np.uint8)
    assert space.from_nyu40(space.to_nyu40(indices)).tolist() == indices.tolist()


@SPACES
def test_names_colors_and_ids_are_unambiguous(space: LabelSpace) -> None:
    assert len(set(space.names)) == len(set(space.colors)) == len(set(space.nyu40)) == space.classes
    assert all(1 <= i <= 40 for i in space.nyu40)
    assert (0, 0, 0) not in space.colors, "black is void"


def test_known_classes() -> None:
    assert SCANNET20.classes == 20
    assert ROOMS.classes == 16
    # The NYU40 ids that the ScanNet benchmark scores.
    assert SCANNET20.nyu40 == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)


def test_a_benchmarks_space_ignores_other_classes() -> None:
    """NYU40 22 is ceiling, no ScanNet20 class; 0 is unlabeled; ids beyond 40 do not exist."""
    assert SCANNET20.from_nyu40(np.array([[0, 22], [1, 60]], np.uint16)).tolist() == [[VOID, VOID], [0, VOID]]


def test_a_space_with_other_takes_every_nyu40_class() -> None:
    """By mappings/nyu40.yaml: a counter is a table, blinds are a window, a toilet is other. 0 and 41 stay void."""
    named = {12: "table", 13: "window", 17: "cabinet", 18: "bed", 20: "floor", 33: "other", 38: "other", 1: "wall"}
    found = ROOMS.from_nyu40(np.array([*named], np.uint8))
    assert [ROOMS.names[index] for index in found] == list(named.values())
    assert (ROOMS.from_nyu40(np.arange(1, 41)) != VOID).all()
    assert ROOMS.from_nyu40(np.array([0, 41, 255])).tolist() == [VOID, VOID, VOID]


def test_other_of_a_space_that_no_file_speaks_of_takes_what_is_left() -> None:
    own = LabelSpace("mine", ("floor", "other"), ((1, 1, 1), (2, 2, 2)), (2, 50))
    assert own.from_nyu40(np.array([0, 1, 2, 40, 41, 50])).tolist() == [VOID, 1, 0, 1, VOID, 1]
    namesake = LabelSpace("rooms", own.names, own.colors, own.nyu40)
    assert namesake.from_nyu40(np.array([12, 2])).tolist() == [1, 0], "the file's classes are of another space"


def test_an_empty_picture_converts() -> None:
    assert ROOMS.from_nyu40(np.zeros((0, 4), np.uint8)).shape == (0, 4)


@SPACES
def test_colors_tell_classes_and_void_is_black(space: LabelSpace) -> None:
    picture = space.colorize(np.array([[0, 1, VOID]], np.uint8))
    assert picture.shape == (1, 3, 3)
    assert picture[0].tolist() == [list(space.colors[0]), list(space.colors[1]), [0, 0, 0]]


def test_an_overlay_is_half_and_half_and_leaves_void_alone() -> None:
    image = np.array([[[10, 20, 30], [10, 20, 30]]], np.uint8)
    blended = ROOMS.overlay(image, np.array([[0, VOID]], np.uint8))
    assert blended.tolist() == [[[92, 109, 131], [10, 20, 30]]]  # wall is 174, 199, 232


@SPACES
def test_json_round_trip(space: LabelSpace) -> None:
    assert LabelSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@pytest.mark.parametrize("text", ["{}", '{"name": "x", "names": ["a"], "colours": [[1]], "nyu40": [1]}', "[1]", "null"])
def test_foreign_json_is_refused(text: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        LabelSpace.from_dict(json.loads(text))


def test_uneven_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="same number"):
        LabelSpace("x", ("a", "b"), ((1, 2, 3),), (1,))
    with pytest.raises(ValueError, match="0 classes"):
        LabelSpace("x", (), (), ())


def test_other_colors_make_no_other_space() -> None:
    """A checkpoint keeps the colors it was written with, and still serves keyframes and maps of newer ones."""
    repainted = replace(ROOMS, colors=tuple((r, g, 255 - b) for r, g, b in ROOMS.colors))
    assert repainted == ROOMS and hash(repainted) == hash(ROOMS)
    assert repainted != replace(ROOMS, names=("other wall", *ROOMS.names[1:]))
