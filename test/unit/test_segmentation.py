"""2D segmenters: sums over classes, unsure pixels, alignment, the three families of models, and answers refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from segmenter_fixtures import NAMES, save_model, transformers

from sray.errors import ModelError, SrayError
from sray.label_space import ROOMS, VOID
from sray.segmentation import Pretrained, Segmenter, load_mapping, load_pretrained
from sray.segmentation.probabilities import QueryScores, bands

KINDS = ("deeplab", "segformer", "mask2former")
WALL, FLOOR, CHAIR = (ROOMS.names.index(name) for name in ("wall", "floor", "chair"))
PICTURE = np.random.default_rng(0).integers(0, 256, (36, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    seeds = {"mask2former": 1}  # with which it does not answer one class everywhere
    return {kind: save_model(kind, tmp_path_factory.mktemp(kind), seed=seeds.get(kind, 0)) for kind in KINDS}


class Says(torch.nn.Module):
    """A network that says what it was told to."""

    def __init__(self, **answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(
            **{name: tensor.unsqueeze(0) for name, tensor in self.answer.items()}, keys=self.answer.keys
        )


def as_it_is(images: np.ndarray, return_tensors: str) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.from_numpy(images).permute(2, 0, 1)[None].float()}


def segmenter(labels: tuple[str, ...], threshold: float, mapping: str = "ade20k", **answer: torch.Tensor) -> Segmenter:
    return Segmenter(Pretrained("told", Says(**answer), as_it_is, labels, ""), load_mapping(mapping, ROOMS), threshold)


def told(probabilities: list[list[float]]) -> torch.Tensor:
    """Logits (classes, 1, pixels) of probabilities by pixel."""
    return torch.tensor(probabilities).T.clamp_min(1e-12).log()[:, None, :]


def test_probabilities_of_classes_that_mean_the_same_are_summed_before_the_best_is_chosen() -> None:
    """Three kinds of chair beat a wall that is likelier than each of them."""
    labels = ("wall", "chair", "armchair", "swivel chair")
    logits = told([[0.4, 0.2, 0.2, 0.2], [0.7, 0.1, 0.1, 0.1]])
    answer = segmenter(labels, 0.5, logits=logits).segment(np.zeros((1, 2, 3), np.uint8))
    assert answer.labels.tolist() == [[CHAIR, WALL]]
    assert answer.confidence[0].tolist() == pytest.approx([0.6, 0.7], abs=1e-6)
    assert answer.coverage == 1


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.0, [WALL, VOID, FLOOR, VOID]), (0.35, [WALL, VOID, FLOOR, VOID]), (0.5, [WALL, VOID, VOID, VOID])],
)
def test_unsure_pixels_are_void(threshold: float, expected: list[int]) -> None:
    """Wall 0.6; sky, which means nothing, 0.6; floor 0.45; wall 0.3 but sky and tree 0.45 together."""
    labels = ("wall", "floor", "sky", "tree")
    logits = told([[0.6, 0.2, 0.1, 0.1], [0.4, 0.0, 0.6, 0.0], [0.15, 0.45, 0.2, 0.2], [0.3, 0.25, 0.3, 0.15]])
    answer = segmenter(labels, threshold, logits=logits).segment(np.zeros((1, 4, 3), np.uint8))
    assert answer.labels[0].tolist() == expected
    assert answer.confidence[0].tolist() == pytest.approx([0.6, 0.4, 0.45, 0.3], abs=1e-6)
    assert answer.coverage == np.mean(np.array(expected) != VOID)


def test_regions_vote_and_pixels_that_none_claims_are_void() -> None:
    """Two queries, one sure of a wall, one split between chair and armchair; on four pixels."""
    labels = ("wall", "chair", "armchair")
    claims = torch.tensor([[0.9, 0.1, 0.8, 0.05], [0.1, 0.9, 0.8, 0.05]])
    named = torch.tensor([[0.9, 0.0, 0.0, 0.1], [0.0, 0.5, 0.4, 0.1]])  # the last: no object
    answer = segmenter(
        labels,
        0.0,
        masks_queries_logits=torch.logit(claims)[:, None, :],
        class_queries_logits=named.clamp_min(1e-12).log(),
    ).segment(np.zeros((1, 4, 3), np.uint8))
    # Votes: 0.81 to 0.09; 0.09 to 0.81; 0.72 each, scaled to 0.5 each; 0.045 each, 0.91 left over.
    assert answer.labels[0, [0, 1, 3]].tolist() == [WALL, CHAIR, VOID]
    assert answer.labels[0, 2] in (WALL, CHAIR)
    assert answer.confidence[0].tolist() == pytest.approx([0.81, 0.81, 0.5, 0.045], abs=1e-5)


def test_votes_of_queries_sum_to_one() -> None:
    generator = torch.Generator().manual_seed(0)
    named = torch.rand(5, 4, generator=generator).softmax(-1) * 0.8
    table = F.one_hot(torch.tensor([0, 1, 1, 2]), 3).float()
    for level in (-4.0, 0.0, 4.0):
        band = level + torch.randn(5, 3, 7, generator=generator)
        votes = QueryScores(band, named).mapped(band, table)
        assert votes.min() >= 0
        torch.testing.assert_close(votes.sum(0), torch.ones(3, 7))


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.integers(0, 99)
)
def test_bands_are_bilinear_interpolation_a_piece_at_a_time(
    rows: int, columns: int, height: int, width: int, band: int, seed: int
) -> None:
    maps = torch.randn(3, rows, columns, generator=torch.Generator().manual_seed(seed))
    whole = F.interpolate(maps[None], (height, width), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(torch.cat(list(bands(maps, height, width, band)), 1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [4, 8])
def test_cells_of_the_grid_lie_on_the_pixels_they_are_of(factor: int) -> None:
    """A cell's impulse has its center of mass at the center of the factor x factor pixels that it covers."""
    maps = torch.zeros(1, 7, 9)
    maps[0, 3, 4] = 1
    spread = torch.cat(list(bands(maps, 7 * factor, 9 * factor)), 1)[0]
    row = (spread.sum(1) * torch.arange(7 * factor)).sum() / spread.sum()
    column = (spread.sum(0) * torch.arange(9 * factor)).sum() / spread.sum()
    assert (row.item(), column.item()) == pytest.approx(((3.5 * factor) - 0.5, (4.5 * factor) - 0.5), abs=1e-4)


def test_a_processor_that_would_crop_labels_the_whole_picture() -> None:
    """Left half black, right half white, 48 x 24; the processor's own crop would leave the middle 8 x 8 of 24 x 12."""

    class Bright(torch.nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
            white = 20 * pixel_values[:, :1]
            return SimpleNamespace(logits=torch.cat([-white, white], 1))

    processor = transformers.MobileNetV2ImageProcessorPil(
        size={"shortest_edge": 12}, crop_size={"height": 8, "width": 8}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    assert processor.do_center_crop
    image = np.zeros((24, 48, 3), np.uint8)
    image[:, 24:] = 255
    made = Segmenter(Pretrained("bright", Bright(), processor, ("wall", "floor"), ""), load_mapping("ade20k", ROOMS))
    labels = made.segment(image).labels
    assert (labels[:, :24] == WALL).all() and (labels[:, 24:] == FLOOR).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_labels_as_the_library_says_in_our_label_space(kind: str, folders: dict[str, Path]) -> None:
    """The library's own forward pass and reduction, in another order of steps, on the whole picture."""
    pretrained = load_pretrained(folders[kind])
    assert pretrained.labels == NAMES
    answer = Segmenter(pretrained, load_mapping("ade20k", ROOMS), 0.0).segment(PICTURE)
    assert answer.labels.shape == answer.confidence.shape == PICTURE.shape[:2]
    crop = {"do_center_crop": False} if kind == "deeplab" else {}
    with torch.inference_mode():
        out = pretrained.model(**pretrained.processor(images=PICTURE, return_tensors="pt", **crop))
    if kind == "mask2former":
        masks = F.interpolate(out.masks_queries_logits, PICTURE.shape[:2], mode="bilinear").sigmoid()[0]
        scores = torch.einsum("qc,qhw->chw", out.class_queries_logits[0].softmax(-1)[:, :-1], masks)
        scores = scores / scores.sum(0).clamp_min(1)
        rest = 1 - scores.sum(0)
    else:
        scores = F.interpolate(out.logits, PICTURE.shape[:2], mode="bilinear")[0].softmax(0)
        rest = torch.zeros(PICTURE.shape[:2])
    nothing = scores[NAMES.index("sky")] + rest
    own = scores[[NAMES.index("wall"), NAMES.index("floor"), NAMES.index("chair")]]
    expected = torch.tensor([WALL, FLOOR, CHAIR])[own.argmax(0)]
    expected[nothing > own.max(0).values] = VOID
    ordered = torch.cat([own, nothing[None]]).sort(0).values
    clear = ordered[-1] - ordered[-2] > 1e-5
    assert clear.float().mean() > 0.9
    assert (torch.from_numpy(answer.labels)[clear] == expected[clear]).all()
    np.testing.assert_allclose(answer.confidence, own.max(0).values.numpy(), atol=1e-5)


def test_the_three_families_do_not_answer_one_class_only(folders: dict[str, Path]) -> None:
    """Or the comparison above would say little."""
    for kind, folder in folders.items():
        answer = Segmenter(load_pretrained(folder), load_mapping("ade20k", ROOMS), 0.0).segment(PICTURE)
        assert len(np.unique(answer.labels)) > 1, kind


def test_a_threshold_that_is_no_probability_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="threshold is 1.5"):
        segmenter(("wall",), 1.5, logits=torch.zeros(1, 1, 1))


def test_a_network_that_has_diverged_labels_nothing() -> None:
    answer = segmenter(("wall", "floor"), 0.0, logits=torch.full((2, 1, 1), torch.nan)).segment(PICTURE)
    assert (answer.labels == VOID).all() and answer.coverage == 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"logits": torch.zeros(3, 2, 2)}, "answers with 3 classes; expected scores of the 2"),
        ({"pred_boxes": torch.zeros(3, 4)}, "an output with pred_boxes"),
        ({"logits": torch.zeros(2)}, "an output with logits"),
    ],
)
def test_a_network_that_answers_otherwise_is_refused(answer: dict[str, torch.Tensor], words: str) -> None:
    with pytest.raises(SrayError) as error:
        segmenter(("wall", "floor"), 0.5, **answer).segment(PICTURE)
    assert isinstance(error.value, ModelError) and words in str(error.value)


def test_a_network_that_wants_more_than_a_picture_or_less_is_refused() -> None:
    """OneFormer asks for a task; EoMT's processor cuts the picture into pieces, of which the first is not the whole."""

    class Asks(torch.nn.Module):
        def forward(self, pixel_values: torch.Tensor, task: torch.Tensor) -> None: ...

    def cut(images: np.ndarray, return_tensors: str) -> dict[str, torch.Tensor]:
        return {"pixel_values": torch.zeros(2, 3, 8, 8)}

    mapping = load_mapping("ade20k", ROOMS)
    for pretrained, words in (
        (Pretrained("asks", Asks(), as_it_is, ("wall",), ""), "answers with an error"),
        (Pretrained("cut", Says(logits=torch.zeros(1, 2, 2)), cut, ("wall",), ""), "a picture cut into (2, 3, 8, 8)"),
    ):
        with pytest.raises(SrayError) as error:
            Segmenter(pretrained, mapping).segment(PICTURE)
        assert isinstance(error.value, ModelError) and words in str(error.value)
