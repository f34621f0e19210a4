"""The page of an evaluation from renderings made by hand: what it says, in which order, and that nothing is missing."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene
from numpy.typing import NDArray

from sray.camera import Camera
from sray.field import RenderedView
from sray.frames import Frame
from sray.label_space import ROOMS, VOID
from sray.metrics import ConfusionMatrix
from sray_train.data.scene import Scene
from sray_train.score.evaluate import Query, Rendering
from sray_train.score.scores import Evaluation, Scoreboard
from sray_train.tools.report.evaluation_page import class_groups, mistakes, write_evaluation_page
from sray_train.tools.report.evaluation_pictures import Gallery
from sray_train.tools.report.page import ClassBar

WALL, FLOOR, CABINET, TABLE = (ROOMS.names.index(name) for name in ("wall", "floor", "cabinet", "table"))


def render(scene: Scene, target: int, wrong: float, *, labels: bool = True) -> Rendering:
    """The frame itself, but the left `wrong` of it is called a table."""
    truth = scene.frames[target]
    assert truth.labels is not None and truth.depth is not None
    called = truth.labels.clone()
    called[:, : round(wrong * called.shape[1])] = TABLE
    color = (truth.image.float() / 255 + 0.5 * wrong).clamp(0, 1)
    blank = RenderedView.blank(truth.camera)
    depth = truth.depth + wrong
    view = replace(blank, labels=called, common_color=color, depth=depth, depth_with_void=depth)
    query = Query(scene, target, ((target + 1) % len(scene.frames),))
    return Rendering(query, truth if labels else replace(truth, labels=None), view, 0.25)


def make_scene(name: str, depth: bool = True) -> Scene:
    plane = PlaneScene()
    frames: list[Frame] = [replace(plane.frame((0.1 * i, 0.0, 0.0)), name=f"{name}/{i}") for i in range(3)]
    return Scene(name, tuple(frames), Camera.stack([frame.camera for frame in frames]))


def judged(renderings: list[Rendering]) -> tuple[Evaluation, Gallery, dict[str, Any]]:
    board, gallery = Scoreboard(ROOMS), Gallery(ROOMS)
    for rendering in renderings:
        board.add(rendering.query.scene.name, rendering.truth, rendering.view, rendering.seconds)
        gallery.see(rendering)
    evaluation = board.evaluation()
    record = evaluation.record() | {
        "lpips_missing": "no <weights>",
        "semantics_missing": None if evaluation.labeled else "no label",
        "input": "RGB-D",
        "seconds": 12.0,
        "scored": "rooms <9000>",
        "size": [48, 36],
        "config": {"data": {}, "evaluation": {"views": 8, "targets": 2, "quality": "balanced", "depth": True}},
        "label_space": "rooms",
        "checkpoint": "ab" * 32,
        "checkpoint_file": "models/tiny.safetensors",
    }
    return evaluation, gallery, record


@pytest.fixture(scope="module")
def renderings() -> list[Rendering]:
    fair, bad, good = (make_scene(name) for name in ("fair", "bad", "good"))
    plan = [(fair, 0, 0.25), (fair, 1, 0.375), (bad, 0, 0.75), (bad, 1, 0.5), (good, 0, 0.0625), (good, 1, 0.125)]
    return [render(scene, target, wrong) for scene, target, wrong in plan]


@pytest.fixture(scope="module")
def page(renderings: list[Rendering], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "new" / "page.html"
    write_evaluation_page(path, *judged(renderings))
    return path.read_text()


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.others: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        if tag == "img":
            self.images.append(found)
        elif found.get("src") or found.get("href"):
            self.others.append(str(found.get("src") or found.get("href")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def picture(self, alt: str) -> NDArray[np.uint8]:
        """RGB of the first picture with this text."""
        source = next(str(image["src"]) for image in self.images if image["alt"] == alt)
        encoded = np.frombuffer(base64.b64decode(source.partition("base64,")[2]), np.uint8)
        return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def section(page: str, name: str) -> str:
    return page.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def test_the_page_is_whole_and_needs_nothing_else(page: str) -> None:
    parsed = _Page(page)
    assert not parsed.open, "every element is closed"
    assert parsed.others == ["data:,"] and not re.search(r"https?://|@import|url\(", page)
    assert len(parsed.images) == 2 * 7 + 3 * 7, "best, worst, and a row for each of three scenes"
    assert all(str(image["src"]).startswith("data:image/") and image["alt"] for image in parsed.images)
    assert "rooms &lt;9000&gt;" in page and "no &lt;weights&gt;" in page, "text must be escaped"


def test_its_pictures_are_those_of_the_renderings(page: str, renderings: list[Rendering]) -> None:
    parsed, shown = _Page(page), renderings[2]  # the worst
    assert shown.truth.labels is not None
    true, called = ROOMS.colorize(shown.truth.labels.numpy()), ROOMS.colorize(shown.view.labels.numpy())
    np.testing.assert_array_equal(parsed.picture("bad/0: labels, true"), true)
    np.testing.assert_array_equal(parsed.picture("bad/0: labels, rendered"), called)
    wrong = parsed.picture("bad/0: error")[..., 0] < 220
    np.testing.assert_array_equal(wrong, (shown.truth.labels != shown.view.labels).numpy())
    color = parsed.picture("bad/0: color, recorded").astype(int)
    assert np.abs(color - shown.truth.image.numpy()).mean() < 12, "a JPEG"


def test_the_headline_is_the_record(page: str, renderings: list[Rendering]) -> None:
    _, _, record = judged(renderings)
    tiles = plain(page.partition('class="tiles"')[2].partition("</section>")[0])
    for name in ("strict_miou", "released_miou", "total_accuracy"):
        assert f"{100 * record[name]:.1f} %" in tiles, name
    assert "LPIPS unknown" in tiles and "RGB-D" in page
    assert f"{100 * record['depth_abs_rel']:.1f} %" in tiles and f"{record['depth_median_error']:.2f} m" in tiles


def test_the_worst_scene_comes_first_and_the_extremes_are_named(page: str) -> None:
    table = re.findall(r"<tr><td>(\w+)</td>", section(page, "scenes"))
    assert table == ["bad", "fair", "good"]
    assert re.findall(r"<h3>([^<]+)</h3>", section(page, "pictures")) == ["bad/1", "fair/1", "good/1"]
    assert re.findall(r"<h3>([^<]+)</h3>", section(page, "extremes")) == [
        "Best picture: good/0",
        "Worst picture: bad/0",
    ]
    assert "25 % of pixels right" in section(page, "extremes") and "94 % of pixels right" in section(page, "extremes")


def test_it_says_what_is_mistaken_for_what(page: str) -> None:
    verdict = plain(section(page, "verdict"))
    assert re.search(r"(wall|floor|cabinet) called table", verdict)
    assert "Not in these pictures, so not scored: bed, chair" in verdict
    legend = re.findall(r"</i>([^<]+)</li>", section(page, "pictures"))
    assert legend == ["wall", "floor", "cabinet", "table", "void"]
    header = re.findall(r"<th><span>([^<]+)</span></th>", section(page, "classes"))
    assert header == [*ROOMS.names, "void"]


def test_classes_are_grouped_by_how_far_they_can_be_relied_on() -> None:
    known = {"a": 0.6, "b": 0.3, "c": 0.299, "d": None, "e": 1.0, "f": 0.0}
    groups = class_groups([ClassBar(name, "#000", 0.1, iou) for name, iou in known.items()])
    assert [[bar.name for bar in group.classes] for group in groups] == [["e", "a"], ["b"], ["c", "f"]]


def test_mistakes_by_hand() -> None:
    """Ten pixels of a: 3 called b, 1 void; ten of b: 1 called a. Five errors in all."""
    matrix = ConfusionMatrix(2)
    matrix.counts[:] = [[6, 3, 1], [1, 9, 0]]
    found = [(one.true, one.called, one.share_of_class, one.share_of_errors) for one in mistakes(("a", "b"), matrix)]
    assert found == [("a", "b", 0.3, 0.6), ("a", "void", 0.1, 0.2), ("b", "a", 0.1, 0.2)]


def test_without_labels_it_claims_no_semantic_score(tmp_path: Path) -> None:
    scene = make_scene("dark")
    unlabeled = [render(scene, target, wrong, labels=False) for target, wrong in ((0, 0.5), (1, 0.1))]
    write_evaluation_page(tmp_path / "page.html", *judged(unlabeled))
    text = (tmp_path / "page.html").read_text()
    assert "Labels are not scored: no label" in text
    assert "mIoU" not in text and "confusion_table" not in text and "labels, true" not in text
    assert "Best picture: dark/1" in text, "by PSNR"
    assert len(_Page(text).images) == 2 * 5 + 5


def test_of_one_picture_there_is_no_best_and_worst(tmp_path: Path) -> None:
    write_evaluation_page(tmp_path / "page.html", *judged([render(make_scene("one"), 0, 0.5)]))
    text = (tmp_path / "page.html").read_text()
    assert "Best picture" not in text and len(_Page(text).images) == 7


def test_large_pictures_are_shrunk_and_class_colors_stay_exact(tmp_path: Path) -> None:
    scene = make_scene("large")
    small = render(scene, 0, 0.5)
    truth = small.truth.resized(900, 675)
    assert truth.labels is not None and truth.depth is not None
    view = replace(
        RenderedView.blank(truth.camera),
        labels=truth.labels,
        depth=truth.depth,
        depth_with_void=truth.depth,
        common_color=truth.image.float() / 255,
    )
    view.labels[:100] = VOID
    write_evaluation_page(tmp_path / "page.html", *judged([Rendering(small.query, truth, view, 1.0)]))
    labels = _Page((tmp_path / "page.html").read_text()).picture("large/0: labels, rendered")
    assert labels.shape == (360, 480, 3)
    colors = {tuple(color) for color in labels.reshape(-1, 3).tolist()}
    assert colors == {(0, 0, 0)} | {ROOMS.colors[index] for index in (WALL, FLOOR, CABINET)}
    assert torch.isfinite(view.depth).all()
