"""The demo's scores and page from a run made by hand; in headless Chromium where that is installed."""

from __future__ import annotations

import http.server
import math
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from functools import partial
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
from sray.mapping.cloud import LabeledCloud
from sray_train.score.surfaces import true_cloud
from sray_train.tools.report import pictures
from sray_train.tools.report.demo_page import write_page
from sray_train.tools.report.demo_run import DemoRun, LookAround
from sray_train.tools.report.map_views import Lines, Look, map_view

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""


def make_view(stamp_ns: int, seed: int = 0) -> tuple[Frame, RenderedView]:
    """160x120: walls over a floor with a table; the labels miss a corner and confuse a patch."""
    random = np.random.default_rng(seed)
    truth = np.zeros((120, 160), np.uint8)
    truth[70:] = 1
    truth[60:95, 40 + seed : 100 + seed] = 6
    truth[:4] = VOID
    labels = truth.copy()
    labels[:4] = 0
    labels[80:95, 40:60] = 11
    labels[100:, 130:] = VOID
    image = (ROOMS.colorize(truth) * 0.7 + random.integers(0, 60, (120, 160, 3))).astype(np.uint8)
    depth = np.tile(np.linspace(4, 1, 120, dtype=np.float32)[:, None], (1, 160))
    depth[labels == VOID] = np.nan
    confidence = random.uniform(0.4, 1, (120, 160)).astype(np.float32)
    return received(stamp_ns, image, labels, cv2.blur(image, (5, 5)).astype(np.uint8), depth, confidence, truth)


def received(
    stamp_ns: int,
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    color: NDArray[np.uint8],
    depth: NDArray[np.float32],
    confidence: NDArray[np.float32],
    truth: NDArray[np.uint8],
    true_depth: NDArray[np.float32] | None = None,
) -> tuple[Frame, RenderedView]:
    rows, columns = labels.shape
    camera = Camera(torch.eye(3), torch.eye(4), columns, rows)
    known = None if true_depth is None else torch.from_numpy(true_depth)
    frame = Frame(torch.from_numpy(image), camera, known, torch.from_numpy(truth), stamp_ns)
    view = replace(
        RenderedView.blank(camera),
        labels=torch.from_numpy(labels),
        common_color=torch.from_numpy(color) / 255,
        depth=torch.from_numpy(depth),
        depth_with_void=torch.from_numpy(depth),
        confidence=torch.from_numpy(confidence),
    )
    return frame, view


def make_run(**changes: Any) -> DemoRun:
    random = np.random.default_rng(1)
    floor = np.column_stack([random.uniform(0, 5, 3000), random.uniform(0, 4, 3000), np.zeros(3000)])
    wall = np.column_stack([np.zeros(1000), random.uniform(0, 4, 1000), random.uniform(0, 2.4, 1000)])
    points = np.concatenate([floor, wall]).astype(np.float32)
    labels = np.array([1] * 3000 + [0] * 1000, np.uint8)
    cloud = LabeledCloud(points, ROOMS.colorize(labels), labels, np.ones(4000, np.float32))
    angle = np.linspace(0, 4, 30)
    path = np.column_stack([2.5 + 1.5 * np.cos(angle), 2 + np.sin(angle), np.full(30, 1.4)]).astype(np.float32)
    run = DemoRun(
        title="Semantic map of a room it has never seen",
        source="Room 9000, <made> by hand",
        label_space=ROOMS,
        views=tuple(make_view(10**9 * (index + 1), index) for index in range(12)),
        map=cloud,
        path=path,
        up=np.array([0, 0, 1], np.float32),
        frames_played=30,
        keyframes=20,
        clouds=12,
        seconds_per_render=tuple(3 + 0.1 * (index % 5) for index in range(12)),
        model_id="sray_rooms",
        model_sha256="ab" * 32,
        rmw="rmw_fastrtps_cpp",
        standins=("tf2_ros", "launch"),
        keyframe_poses=np.stack([np.eye(4)] * 3),
        frustums={"sources": np.ones((8, 2, 3), np.float32), "target": np.zeros((8, 2, 3), np.float32)},
        stages={"make the room": 12.0, "play": 40.0},
        facts={"input": "RGB"},
        caveats=("A caveat that must be read.",),
    )
    return replace(run, **changes)


def test_the_report_has_the_contracts_keys_and_hand_computed_values() -> None:
    labels, truth = np.full((2, 2), VOID, np.uint8), np.array([[0, 0], [1, VOID]], np.uint8)
    labels[0] = 0
    image = np.zeros((2, 2, 3), np.uint8)
    color = image.copy()
    color[0, 0, 0] = 255
    depth = np.array([[2.2, 2], [np.nan, 2]], np.float32)
    true_depth = np.array([[2, 2], [2, np.nan]], np.float32)
    view = received(1, image, labels, color, depth, np.ones((2, 2), np.float32), truth, true_depth)
    report = make_run(views=(view,)).report()
    assert report == {
        "frames_played": 30,
        "keyframes": 20,
        "label_images": 1,
        "labelled_fraction": 0.5,
        "clouds": 12,
        "map_points": 4000,
        "strict_miou": pytest.approx(0.5),  # wall 2/2, floor 0/1
        "total_accuracy": pytest.approx(2 / 3),
        "commonest_class_miou": pytest.approx(1 / 3),
        "psnr_color": pytest.approx(10 * math.log10(12)),
        "psnr_matched": None,  # red over black: no factor but 0, and then no error at all
        "depth_abs_rel": pytest.approx((0.1 + 0) / 2),  # of the two pixels that have depth
        "depth_within_1_25": pytest.approx(2 / 3),
        "depth_within_1_05": pytest.approx(1 / 3),
        "depth_median_error": pytest.approx(0.1),
        "map_accuracy": None,  # no frame with depth was played
        "map_completeness": None,
        "map_f_score_5cm": None,
        "seconds_per_render_median": pytest.approx(3.15, abs=0.06),
        "model": {"id": "sray_rooms", "sha256": "ab" * 32},
        "ros": {"rmw": "rmw_fastrtps_cpp", "standins": ["tf2_ros", "launch"]},
    }


def test_a_map_on_the_walls_that_the_frames_saw_scores_one_and_is_shown_beside_them(tmp_path: Path) -> None:
    """The frames' own depth, fused, as the map; and the same map 30 cm too far."""
    plane = PlaneScene()
    frames = tuple(plane.frame((0.2 * index, 0.0, 0.0)) for index in range(3))
    cloud = true_cloud(frames)
    path = np.stack([frame.camera.center.numpy() for frame in frames])
    run = make_run(map=cloud, surfaces=frames, path=path, up=np.array([0, -1, 0], np.float32))
    report = run.report()
    assert report["map_f_score_5cm"] == 1 and report["map_accuracy"] < 0.02
    away = replace(cloud, points=cloud.points + np.array([0, 0, 0.3], np.float32))
    report = replace(run, map=away).report()
    assert report["map_f_score_5cm"] == 0 and report["map_accuracy"] == pytest.approx(0.3, abs=0.02)
    page = write_page(run, tmp_path).read_text()
    assert "map_truth.png" in page and "map F-score at 5 cm" in page
    sizes = {cv2.imread(str(tmp_path / "pictures" / f"map_{kind}.png")).shape for kind in ("colors", "truth")}
    assert len(sizes) == 1, "one scale"


def test_the_page_says_how_to_look_around_and_shows_a_still(tmp_path: Path) -> None:
    around = LookAround("pictures/look_around.jpg", "scene.html", ".venv/bin/sray view out/demo/session.safetensors")
    text = write_page(make_run(look_around=around), tmp_path).read_text()
    assert 'src="pictures/look_around.jpg"' in text and 'href="scene.html"' in text
    assert "make demo VIEW=1" in text and around.command in text
    assert "make demo VIEW=1" not in write_page(make_run(), tmp_path).read_text(), "nothing was saved"


def test_without_truth_and_color_the_scores_are_null_not_zero() -> None:
    truth, view = make_view(10**9)
    bare = ((replace(truth, labels=None), replace(view, common_color=torch.full_like(view.color, math.nan))),) * 2
    report = make_run(views=bare).report()
    missing = ("depth_abs_rel", "depth_within_1_25", "map_f_score_5cm")
    for key in ("strict_miou", "total_accuracy", "commonest_class_miou", "psnr_color", *missing):
        assert report[key] is None, key
    assert report["labelled_fraction"] == pytest.approx(1 - 20 * 30 / (120 * 160))


def test_the_error_picture_tells_right_wrong_void_and_unscored_apart() -> None:
    picture = pictures.error(np.array([[3, 3, VOID, 3, VOID]], np.uint8), np.array([[3, 4, 4, VOID, VOID]], np.uint8))
    expected = [pictures.RIGHT, pictures.WRONG, pictures.UNANSWERED, pictures.UNSCORED, pictures.UNSCORED]
    assert [tuple(color) for color in picture[0].tolist()] == expected


def test_lines_are_drawn_where_they_are() -> None:
    run = make_run()
    colors = run.label_space.colorize(run.map.labels)
    segment = np.array([[[1, 1, 0.5], [1, 3, 0.5]]], np.float32)
    purple = (160, 0, 160)
    picture, scale = map_view(run.map, colors, run.path, run.up, Look(), (Lines(segment, purple, 5),))
    rows, columns = np.nonzero((picture == purple).all(-1))
    assert np.ptp(rows) * scale == pytest.approx(2, abs=0.15) or np.ptp(columns) * scale == pytest.approx(2, abs=0.15)
    assert min(np.ptp(rows), np.ptp(columns)) * scale < 0.1


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "img":
            self.images.append(found)
        elif found.get("src") or (tag == "link" and found.get("href")):
            self.others.append(str(found.get("src") or found.get("href")))


def test_the_page_needs_nothing_from_elsewhere_and_its_pictures_exist(tmp_path: Path) -> None:
    text = write_page(make_run(), tmp_path).read_text()
    links = _Links()
    links.feed(text)
    assert len(links.images) == 6 * 8 + 3
    for image in links.images:
        assert image["alt"]
        assert cv2.imread(str(tmp_path / str(image["src"]))) is not None, image
    assert links.others == ["data:,"]
    assert not re.search(r"https?://|@import|url\(", text)
    assert "Room 9000, &lt;made&gt; by hand" in text, "text must be escaped"
    assert "A caveat that must be read." in text
    marks = re.findall(r'class="line"[^>]*></i>([^<]+)<', text)
    assert marks == ["camera path, its start a ring", "keyframes", "sources of the last view", "the last view"]
    legend = re.findall(r"</i>([^<]+)</li>", text.split('id="views"')[1].split("<article")[0])
    assert legend == ["wall", "floor", "table", "desk", "void"], "also what only the labels show: desk"


def test_the_page_without_truth_claims_no_score(tmp_path: Path) -> None:
    views = tuple((replace(truth, labels=None), view) for truth, view in make_run().views)
    text = write_page(make_run(views=views), tmp_path).read_text()
    assert "nothing is scored" in text and "mIoU" not in text and 'class="confusion"' not in text


def test_the_page_of_a_run_that_brought_nothing_still_says_so(tmp_path: Path) -> None:
    empty = LabeledCloud(
        np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.float32)
    )
    text = write_page(make_run(views=(), map=empty, seconds_per_render=()), tmp_path).read_text()
    assert "No label image was received." in text and "No map was received." in text


PROBE = """<script>
window.addEventListener("error", e => document.body.dataset.errors = e.message || "a resource is missing", true);
window.addEventListener("load", () => {
  const all = [...document.images];
  document.body.dataset.loaded = all.filter(i => i.complete && i.naturalWidth > 0).length;
  document.body.dataset.images = all.length;
  document.body.dataset.wider = document.documentElement.scrollWidth > document.documentElement.clientWidth;
});
</script></head>"""


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1400, 600])
def test_in_a_browser_every_picture_loads_and_the_console_is_silent(tmp_path: Path, width: int) -> None:
    page = write_page(make_run(), tmp_path)
    (tmp_path / "probed.html").write_text(page.read_text().replace("</head>", PROBE, 1))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        answer = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
             f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1000", "--virtual-time-budget=10000",
             "--dump-dom", f"http://127.0.0.1:{server.server_port}/probed.html"],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    body = re.search(r"<body[^>]*>", answer.stdout)
    assert body, answer.stdout[:500]
    assert 'data-loaded="51" data-images="51"' in body.group(), body.group()
    assert "data-errors" not in body.group(), body.group()
    assert 'data-wider="false"' in body.group(), "the page must not scroll sideways"
    assert "CONSOLE" not in answer.stderr, answer.stderr


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
