"""Damaged and foreign files: the expected code, a message that names the file, and the recovery."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.errors import FileError, ModelError, SrayError
from sray.label_space import ROOMS, SCANNET20
from sray.model import SemanticRay, SemanticRayConfig
from sray.sequence import Sequence
from sray.sequence_writer import SequenceWriter


@pytest.fixture(scope="module")
def good_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "good.safetensors"
    save_checkpoint(path, SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS, {"seed": 0})
    return path.read_bytes()


@pytest.fixture
def checkpoint(tmp_path: Path, good_bytes: bytes) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(good_bytes)
    return path


def refused(path: Path) -> SrayError:
    with pytest.raises(SrayError) as caught:
        load_checkpoint(path)
    assert path.name in str(caught.value), "the message names the file"
    assert caught.value.__cause__ is None or not isinstance(caught.value.__cause__, AssertionError)
    return caught.value


def damaged(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b"",
        lambda b: b[:4],
        lambda b: b[:200],
        lambda b: b[: len(b) // 2],
        lambda b: b[:-1],
        lambda b: b + b"tail",
        lambda b: b"\xff" * 8 + b[8:],
        lambda b: b"PK\x03\x04 a zip, as torch.save writes" + b[:1000],
        lambda b: b[:8] + b"{not json" + b[17:],
    ],
    ids=["empty", "4 bytes", "header cut", "half", "last byte", "longer", "absurd header", "a pickle", "bad header"],
)
def test_a_damaged_checkpoint_is_a_bad_file_and_a_whole_one_loads_after_it(
    checkpoint: Path, good_bytes: bytes, change: Callable[[bytes], bytes]
) -> None:
    assert type(refused(damaged(checkpoint, change))) is FileError
    checkpoint.write_bytes(good_bytes)
    assert load_checkpoint(checkpoint).label_space == ROOMS


def test_a_missing_checkpoint_is_a_bad_file(tmp_path: Path) -> None:
    error = refused(tmp_path / "nowhere.safetensors")
    assert isinstance(error, FileError)
    assert "does not exist" in str(error) and "--checkpoint of a command" in str(error)


def test_a_folder_is_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert type(refused(tmp_path / "folder")) is FileError


def test_somebody_elses_safetensors_is_a_bad_file(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    error = refused(tmp_path / "other.safetensors")
    assert isinstance(error, FileError)
    assert "says nothing of sray-checkpoint-1" in str(error)


def rewritten(
    path: Path,
    tensors: Callable[[dict[str, torch.Tensor]], object] | None = None,
    **header: Callable[[dict], object],
) -> Path:
    """The same checkpoint with its tensors or one JSON entry of its header changed in place."""
    with safe_open(path, framework="pt") as file:
        metadata, found = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if tensors is not None:
        tensors(found)
    entries = json.loads(metadata["sray-checkpoint-1"])
    for name, change in header.items():
        change(entries[name])
    save_file(found, path, {"sray-checkpoint-1": json.dumps(entries)})
    return path


def test_rewriting_alone_changes_nothing(checkpoint: Path) -> None:
    """Else the tests below would be refused for how they write, not for what they change."""
    assert load_checkpoint(rewritten(checkpoint)).lineage == {"seed": 0}


BIAS = "fine.classifier.bias"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tensors: tensors.pop(BIAS), BIAS),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "extra"),
        (lambda tensors: tensors.update({BIAS: torch.zeros(3)}), BIAS),
    ],
    ids=["missing", "unknown", "another shape"],
)
def test_weights_that_do_not_fit_are_a_model_mismatch(
    checkpoint: Path, change: Callable[[dict[str, torch.Tensor]], object], named: str
) -> None:
    error = refused(rewritten(checkpoint, change))
    assert isinstance(error, ModelError)
    assert named in str(error)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.update(attention="radial"),
        lambda config: config.update(classes=7),
        lambda config: config.update(residual_attention=False),
        lambda config: config.update(from_the_future=1),
        lambda config: config.update(tau=2.0),
        lambda config: config.update(attention="sideways"),
        lambda config: config.pop("classes"),
        lambda config: config.update(classes="many"),
        lambda config: config.update(spacing="quadratic"),
    ],
    ids=["variant", "classes", "preset", "unknown field", "tau", "unknown variant", "none", "type", "unknown spacing"],
)
def test_a_config_that_does_not_fit_is_a_model_mismatch(checkpoint: Path, change: Callable[[dict], object]) -> None:
    assert type(refused(rewritten(checkpoint, config=change))) is ModelError


def test_a_label_space_of_another_size_is_a_model_mismatch(checkpoint: Path) -> None:
    def swap(space: dict) -> None:
        space.update(asdict(SCANNET20))

    error = refused(rewritten(checkpoint, label_space=swap))
    assert isinstance(error, ModelError)
    assert "scannet20" in str(error)


def test_a_mangled_label_space_is_a_model_mismatch(checkpoint: Path) -> None:
    assert type(refused(rewritten(checkpoint, label_space=lambda s: s.pop("names")))) is ModelError


def test_weights_that_are_not_numbers_are_refused(checkpoint: Path) -> None:
    """A training that diverged, saved all the same: every picture would be void with no reason given."""
    path = rewritten(checkpoint, lambda tensors: tensors[BIAS].fill_(float("nan")))
    error = refused(path)
    assert isinstance(error, FileError)
    assert BIAS in str(error)


# Sequences


@pytest.fixture
def recording(tmp_path: Path, plane_scene) -> Path:
    writer = SequenceWriter(tmp_path / "recording")
    for number, frame in enumerate(plane_scene.ring(3)):
        writer.add(number, frame)
    return tmp_path / "recording"


def refused_sequence(folder: Path, named: str) -> None:
    with pytest.raises(SrayError) as caught:
        sequence = Sequence.open(folder)
        sequence[1]
    assert isinstance(caught.value, FileError)
    assert named in str(caught.value), "the message names the file"


@pytest.mark.parametrize(
    "name",
    ["color/1.jpg", "depth/1.png", "label-filt/1.png", "pose/1.txt", "intrinsic/intrinsic_color.txt"],
)
@pytest.mark.parametrize("content", [b"", b"\x00\x01garbage"], ids=["empty", "garbage"])
def test_a_damaged_file_is_named_and_its_repair_is_enough(recording: Path, name: str, content: bytes) -> None:
    whole = (recording / name).read_bytes()
    (recording / name).write_bytes(content)
    refused_sequence(recording, name.rpartition("/")[2])
    (recording / name).write_bytes(whole)
    assert Sequence.open(recording)[1].labels is not None


def test_missing_intrinsics_are_named(recording: Path) -> None:
    (recording / "intrinsic/intrinsic_color.txt").unlink()
    refused_sequence(recording, "intrinsic_color.txt")


def test_a_picture_cut_short_is_named(recording: Path) -> None:
    """A PNG cut in half still has a header."""
    path = recording / "depth/1.png"
    path.write_bytes(path.read_bytes()[:60])
    refused_sequence(recording, "1.png")


@pytest.mark.parametrize("text", ["1 2 3", "1 0 0\n0 1 0\n0 0 1\n", "a b c d"], ids=["row", "3x3", "words"])
def test_a_pose_that_is_no_4x4_matrix_is_named(recording: Path, text: str) -> None:
    (recording / "pose/1.txt").write_text(text)
    refused_sequence(recording, "1.txt")


@pytest.mark.parametrize("diagonal", ["0 40", "40 -1", "nan 40"])
def test_an_uncalibrated_camera_is_refused(recording: Path, diagonal: str) -> None:
    fx, fy = diagonal.split()
    (recording / "intrinsic/intrinsic_color.txt").write_text(f"{fx} 0 20 0\n0 {fy} 20 0\n0 0 1 0\n0 0 0 1\n")
    refused_sequence(recording, "intrinsic_color.txt")


@pytest.mark.parametrize("name", ["depth/1.png", "label-filt/1.png"])
def test_a_color_picture_where_depth_or_labels_should_be_is_refused(recording: Path, name: str) -> None:
    (recording / name).write_bytes((recording / "color/1.jpg").read_bytes())
    refused_sequence(recording, name)


def test_depth_in_bytes_is_refused(recording: Path) -> None:
    """A picture made for looking at: 255 mm at most, were it taken for millimeters."""
    (recording / "depth/1.png").write_bytes((recording / "label-filt/1.png").read_bytes())
    refused_sequence(recording, "uint16 millimeters")


def test_folders_that_are_no_sequence_are_named(tmp_path: Path, recording: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        refused_sequence(folder, folder.name)
    for path in (recording / "pose").iterdir():
        path.unlink()
    refused_sequence(recording, "no pose file")
    for path in (recording / "color").iterdir():
        path.unlink()
    refused_sequence(recording, "color")
