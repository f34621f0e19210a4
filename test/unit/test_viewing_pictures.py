"""What a viewer paints: labels, depth and more in colors, what a click says of a point, videos, learning curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sray.camera import Camera
from sray.field import RenderedView
from sray.label_space import VOID, LabelSpace
from sray.viewing.pictures import OUTPUTS, compared, depth_range, paint, scale_html
from sray.viewing.pointed import in_words, pointed_at
from sray.viewing.source import ShownKeyframe, TuningLog
from sray.viewing.video import VideoFile

SPACE = LabelSpace("stripes", ("red", "green", "blue"), ((200, 50, 50), (50, 200, 50), (50, 50, 200)), (1, 2, 3))


def view_of(labels: list[list[int]], depth: list[list[float]]) -> RenderedView:
    height, width = len(labels), len(labels[0])
    intrinsics = torch.tensor([[float(width), 0, (width - 1) / 2], [0, float(width), (height - 1) / 2], [0, 0, 1]])
    view = RenderedView.blank(Camera(intrinsics, torch.eye(4), width, height))
    view.labels[:] = torch.tensor(labels, dtype=torch.uint8)
    view.depth[:] = torch.tensor(depth)
    view.confidence[:] = (view.labels != VOID).float() * 0.75
    view.common_color[:] = 0.5
    view.coverage[:] = (view.labels != VOID).to(torch.uint8) * 4
    return view


NAN = float("nan")
VIEW = view_of([[0, 1, VOID], [2, 1, 0]], [[1.0, 2.0, NAN], [3.0, 2.0, 1.0]])


def test_labels_and_overlay_are_in_the_label_spaces_colors_without_hidden_classes() -> None:
    picture, ends = paint(VIEW, "labels", SPACE)
    assert picture[0].tolist() == [[200, 50, 50], [50, 200, 50], [0, 0, 0]] and ends is None
    hidden, _ = paint(VIEW, "labels", SPACE, hidden={1})
    assert hidden[0].tolist() == [[200, 50, 50], [0, 0, 0], [0, 0, 0]]
    overlay, _ = paint(VIEW, "overlay", SPACE, hidden={1})
    assert overlay[0, 1].tolist() == [128] * 3, "color alone where the class is hidden"
    assert overlay[0, 0].tolist() == [164, 89, 89]


def test_depth_is_bright_near_with_its_ends_told_and_white_where_unknown() -> None:
    picture, ends = paint(VIEW, "depth", SPACE)
    assert ends == pytest.approx((1.0, 3.0), abs=0.2)
    assert ends == depth_range(VIEW.depth.numpy())
    luminance = picture.astype(int).sum(-1)
    assert luminance[0, 0] > luminance[0, 1] > luminance[1, 0]
    assert picture[0, 2].tolist() == [255, 255, 255]
    assert depth_range(view_of([[VOID]], [[NAN]]).depth.numpy()) == (0.0, 1.0)


def test_coverage_and_confidence_tell_what_their_colors_mean() -> None:
    assert paint(VIEW, "coverage", SPACE)[1] == (0.0, 4.0)
    assert paint(VIEW, "confidence", SPACE)[1] == (0.0, 1.0)
    assert "4 views" in scale_html("coverage", (0.0, 4.0))
    assert "1.25 m" in scale_html("depth", (1.25, 3.0))
    for output in OUTPUTS:
        assert paint(VIEW, output, SPACE)[0].shape == (2, 3, 3)


def test_the_comparison_shows_the_picture_left_and_the_rendering_right() -> None:
    left, right = np.full((4, 10, 3), 10, np.uint8), np.full((2, 5, 3), 200, np.uint8)
    both = compared(left, right, 0.5)
    assert (both[:, :4] == 10).all() and (both[:, 6:] == 200).all() and (both[:, 4:6] == 255).all()
    assert (compared(left, right, 0.0)[:, 1:] == 200).all()
    assert (compared(left, right, 1.0)[:, :-1] == 10).all()


def test_a_click_says_class_probability_distance_and_who_saw_it() -> None:
    """A point 2 m ahead; one keyframe looks at it, one has something in front of it, one looks away."""
    away = torch.eye(4)
    away[:3, :3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    camera = replace(VIEW.camera, width=300, height=200, intrinsics=VIEW.camera.resized(300, 200).intrinsics)
    keyframes = [
        ShownKeyframe(4, camera, 1),
        ShownKeyframe(7, camera, 2, has_depth=True),
        ShownKeyframe(8, camera, 3, has_depth=True),
        ShownKeyframe(9, replace(camera, world_from_camera=away), 4),
    ]
    depths = {7: torch.full((200, 300), 2.0), 8: torch.full((200, 300), 1.0)}
    pointed = pointed_at(VIEW, (0.5, 0.9), SPACE, keyframes, depths.get)
    assert pointed.name == "green" and pointed.probability == 0.75
    assert pointed.distance == pytest.approx(2 * float(np.hypot(1, 0.5 / 3)))
    assert pointed.seen_by == (4, 7)
    words = in_words(pointed, sources=(7,))
    assert "**green**" in words and "2.03 m" in words and "**7**, 4" in words


def test_a_click_on_nothing_says_so() -> None:
    pointed = pointed_at(VIEW, (0.99, 0.0), SPACE, [], lambda number: None)
    assert pointed.point is None and "Nothing is known" in in_words(pointed, ())


def test_a_video_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoFile(path, 5) as video:
        for shade in (0, 100, 200):
            video.write(np.full((31, 41, 3), shade, np.uint8))
    clip = cv2.VideoCapture(str(path))
    assert clip.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert (clip.get(cv2.CAP_PROP_FRAME_WIDTH), clip.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (42, 32)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), VideoFile(path, 5) as video:
        video.write(np.zeros((32, 40, 3), np.uint8))
        raise RuntimeError
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_curve_holds_what_changed() -> None:
    log = TuningLog()
    log.add(0, {}, 0.3, NAN)
    log.add(1, {"semantic": 2.0, "color": 0.5}, 0.3, NAN)
    log.add(2, {"semantic": 1.0}, 0.4, NAN)
    assert log.losses == [(1, 2.5), (2, 1.0)] and log.scores == [(0, 0.3), (2, 0.4)]
    log.add(3, {"color": 1.0}, NAN, 21.0)
    assert log.score_name == "PSNR (dB)" and log.scores[-1] == (3, 21.0)
