"""Named splits: how many scenes, which, and that what is trained on is not tested on."""

from __future__ import annotations

import pytest

from sray.errors import RequestError, SrayError
from sray_train.data.named_splits import load_splits, scene_names

COUNTS = {
    ("released_scannet", "train"): 198,
    ("released_scannet", "validation"): 3,
    ("released_scannet", "test"): 10,
    ("paper_scannet", "train"): 60,
    ("paper_scannet", "test"): 10,
    ("gsnerf_scannet", "train"): 61,
    ("gsnerf_scannet", "test"): 10,
    ("gsnerf_replica", "train"): 12,
    ("gsnerf_replica", "test"): 4,
    ("semantic_nerf_replica", "all"): 16,
}


def test_counts() -> None:
    found = {(name, part): len(names) for name, split in load_splits().items() for part, names in split.parts.items()}
    assert found == COUNTS


@pytest.mark.parametrize("name", load_splits())
def test_no_scene_is_trained_on_and_tested_on(name: str) -> None:
    """Neither the scene nor another scan of the same room (ScanNet's last two digits)."""
    split = load_splits()[name]
    assert split.dataset in ("scannet", "replica")
    for names in split.parts.values():
        assert len(set(names)) == len(names)
    rooms = {part: {name.rpartition("_")[0] for name in names} for part, names in split.parts.items()}
    if split.dataset == "replica":
        rooms = {part: {name.partition("/")[0] for name in names} for part, names in split.parts.items()}
    if "test" in rooms:
        assert not rooms["train"] & rooms["test"]


def test_the_released_lists() -> None:
    train, test = scene_names("released_scannet:train", "scannet"), scene_names("released_scannet:test", "scannet")
    assert train[:3] == ["scene0000_00", "scene0002_00", "scene0003_00"]
    assert train[-1] == "scene0199_00"
    assert "scene0001_00" not in train
    assert "scene0160_00" not in train
    assert [name[5:] for name in test] == [
        "0160_00", "0204_00", "0211_00", "0217_00", "0218_00", "0225_00", "0227_00", "0340_01", "0376_02", "0643_00",
    ]  # fmt: skip


def test_names_and_parts_mix_and_none_counts_twice() -> None:
    names = scene_names("mine, gsnerf_replica:test ,room_2/Sequence_1", "replica")
    assert names == ["mine", "office_4/Sequence_1", "office_4/Sequence_2", "room_2/Sequence_1", "room_2/Sequence_2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nobody:train", "gsnerf_replica, gsnerf_scannet, paper_scannet, released_scannet, semantic_nerf_replica"),
        ("released_scannet:training", "train, validation, test"),
        ("gsnerf_replica:train", "of dataset replica"),
        (" , ", "names of scenes"),
        ("", "names of scenes"),
    ],
)
def test_what_is_unknown_is_refused_with_what_there_is(text: str, said: str) -> None:
    with pytest.raises(SrayError, match=said) as caught:
        scene_names(text, "scannet")
    assert isinstance(caught.value, RequestError)
    assert "data.train" in str(caught.value)
