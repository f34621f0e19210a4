"""From one label space to another: probabilities are summed over what means the same."""

from __future__ import annotations

import pytest
import torch

from sray.errors import ModelError, SrayError
from sray.label_space import LABEL_SPACES, NYU40, REPLICA, ROOMS, SCANNET20, VOID, LabelSpace
from sray.segmentation.between_spaces import indices_of_nyu40, likeliest, projection


def said(source: LabelSpace, **shares: float) -> torch.Tensor:
    """Probabilities (1, classes), the named classes'."""
    row = torch.zeros(1, source.classes)
    for name, share in shares.items():
        row[0, source.names.index(name)] = share
    return row


@pytest.mark.parametrize("source", list(LABEL_SPACES.values()), ids=lambda space: space.name)
@pytest.mark.parametrize("target", list(LABEL_SPACES.values()), ids=lambda space: space.name)
def test_a_class_means_one_class_or_none_and_its_namesake_where_there_is_one(
    source: LabelSpace, target: LabelSpace
) -> None:
    table = projection(source, target)
    assert table.shape == (source.classes, target.classes)
    assert set(table.sum(1).tolist()) <= {0.0, 1.0}
    for row, name in enumerate(source.names):
        if name in target.names:
            assert table[row].argmax() == target.names.index(name) and table[row].sum() == 1, name


@pytest.mark.parametrize(
    ("source", "name", "target", "meaning"),
    [
        (SCANNET20, "counter", ROOMS, "table"),
        (SCANNET20, "toilet", ROOMS, "other"),
        (REPLICA, "blinds", ROOMS, "window"),
        (NYU40, "night stand", SCANNET20, "otherfurniture"),
        (ROOMS, "bookshelf", REPLICA, "shelves"),  # by rooms.yaml: Replica has no bookshelf
        (ROOMS, "lamp", SCANNET20, None),
        (NYU40, "ceiling", SCANNET20, None),
    ],
)
def test_what_classes_mean_elsewhere(source: LabelSpace, name: str, target: LabelSpace, meaning: str | None) -> None:
    row = projection(source, target)[source.names.index(name)]
    assert [target.names[index] for index in row.nonzero().flatten()] == ([meaning] if meaning else [])


def test_probabilities_are_summed_before_the_best_is_chosen() -> None:
    """Cabinet at 0.4 is the likeliest of NYU40, but bed and pillow are one class of rooms: 0.5."""
    probabilities = said(NYU40, cabinet=0.4, bed=0.2, pillow=0.3, chair=0.1)
    assert NYU40.names[int(probabilities.argmax())] == "cabinet"
    assert ROOMS.names[int(likeliest(probabilities @ projection(NYU40, ROOMS)))] == "bed"


def test_what_the_target_does_not_know_does_not_compete() -> None:
    table = projection(ROOMS, SCANNET20)
    assert int(likeliest(said(ROOMS, ceiling=0.6, wall=0.3, floor=0.1) @ table)) == SCANNET20.names.index("wall")
    assert int(likeliest(said(ROOMS, ceiling=1.0) @ table)) == VOID


def test_spaces_with_nothing_in_common_are_refused() -> None:
    strange = LabelSpace("roads", ("road",), ((1, 2, 3),), (99,))
    for source, target in ((strange, SCANNET20), (SCANNET20, strange)):
        with pytest.raises(SrayError, match="no class of label space") as error:
            projection(source, target)
        assert isinstance(error.value, ModelError)


def test_a_space_of_other_names_with_ids_of_nyu40_is_understood() -> None:
    mine = LabelSpace("mine", ("Wand", "Boden"), ((1, 2, 3), (4, 5, 6)), (1, 2))
    assert projection(mine, SCANNET20)[:, :2].tolist() == [[1, 0], [0, 1]]
    assert projection(SCANNET20, mine)[:3].tolist() == [[1, 0], [0, 1], [0, 0]]


def test_the_kept_table_cannot_be_changed_by_who_reads_it() -> None:
    with pytest.raises(ValueError, match="read-only"):
        indices_of_nyu40(ROOMS)[0] = 3
