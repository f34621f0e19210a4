"""The keyframe gate, and which keyframe leaves a full buffer."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sray.camera import Camera
from sray.frames import Frame
from sray.mapping.keyframe_poses import pose_distances
from sray.mapping.keyframes import Keyframe, KeyframeBuffer, KeyframeConfig, Verdict, sharpness

CHECKERS = (torch.arange(48)[:, None] // 4 + torch.arange(64) // 4) % 2 * 255
SHARP = CHECKERS.to(torch.uint8).unsqueeze(-1).expand(48, 64, 3).contiguous()
FLAT = torch.full((48, 64, 3), 90, dtype=torch.uint8)
FEATURES = torch.zeros(1, 12, 16)


def frame_at(x: float = 0.0, degrees: float = 0.0, seconds: float = 0.0, image: torch.Tensor = SHARP) -> Frame:
    angle = math.radians(degrees)
    pose = torch.eye(4)
    pose[0, 0] = pose[2, 2] = math.cos(angle)
    pose[0, 2], pose[2, 0] = math.sin(angle), -math.sin(angle)
    pose[0, 3] = x
    intrinsics = torch.tensor([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])
    return Frame(image, Camera(intrinsics, pose, 64, 48), stamp_ns=round(seconds * 1e9))


def positions(buffer: KeyframeBuffer) -> list[float]:
    return [round(float(keyframe.camera.center[0]), 3) for keyframe in buffer]


@pytest.mark.parametrize(
    ("x", "degrees", "verdict"),
    [
        (0.0, 0.0, Verdict.TOO_CLOSE),
        (0.099, 9.9, Verdict.TOO_CLOSE),
        (0.101, 0.0, Verdict.ENTERS),
        (0.0, 10.1, Verdict.ENTERS),
        (0.0, -170.0, Verdict.ENTERS),
    ],
)
def test_a_frame_enters_once_it_has_moved_or_turned_far_enough(x: float, degrees: float, verdict: Verdict) -> None:
    buffer = KeyframeBuffer(KeyframeConfig(min_translation=0.10, min_rotation=10.0))
    buffer.add(frame_at(), FEATURES)
    assert buffer.judge(frame_at(x, degrees)) is verdict


def test_coming_back_to_an_old_place_adds_nothing() -> None:
    buffer = KeyframeBuffer()
    for x in (0.0, 1.0, 2.0):
        buffer.add(frame_at(x), FEATURES)
    assert buffer.judge(frame_at(0.02)) is Verdict.TOO_CLOSE


def test_a_gate_of_zero_lets_every_frame_in() -> None:
    buffer = KeyframeBuffer(KeyframeConfig(min_translation=0.0))
    buffer.add(frame_at(), FEATURES)
    assert buffer.judge(frame_at()) is Verdict.ENTERS


def test_a_blurred_frame_stays_out_and_a_sharp_one_at_the_same_pose_enters() -> None:
    buffer = KeyframeBuffer(KeyframeConfig(min_sharpness=5.0))
    assert buffer.judge(frame_at(image=FLAT)) is Verdict.BLURRED
    assert buffer.judge(frame_at(image=SHARP)) is Verdict.ENTERS


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    image = torch.zeros(5, 5, 3, dtype=torch.uint8)
    image[2, 2] = 10
    # One bright pixel: -40 there, +10 at its four neighbors, 0 elsewhere; the mean is 0.
    assert sharpness(image) == pytest.approx((40**2 + 4 * 10**2) / 25)


def test_the_older_one_of_the_closest_pair_leaves() -> None:
    buffer = KeyframeBuffer(KeyframeConfig(capacity=4))
    for x in (0.0, 1.0, 1.2, 3.0):
        assert buffer.add(frame_at(x), FEATURES) == []
    left = buffer.add(frame_at(5.0), FEATURES)
    assert [round(float(keyframe.camera.center[0]), 3) for keyframe in left] == [1.0]
    assert positions(buffer) == [0.0, 1.2, 3.0, 5.0]


@given(
    steps=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=25),
    capacity=st.integers(1, 6),
    max_age=st.sampled_from([0.0, 6.0]),
)
def test_what_leaves_is_what_a_look_at_all_pairs_says(
    steps: list[tuple[int, int]], capacity: int, max_age: float
) -> None:
    """Whole meters, so that ties are exact; stamps in any order, so that any keyframe may grow too old."""
    buffer = KeyframeBuffer(KeyframeConfig(capacity=capacity, max_age=max_age))
    held: list[tuple[int, int]] = []
    for x, second in steps:
        buffer.expire(second * 10**9)
        held = [(place, stamp) for place, stamp in held if max_age == 0 or stamp >= second - max_age]
        buffer.add(frame_at(float(x), seconds=second), FEATURES)
        held.append((x, second))
        if len(held) > capacity:
            pairs = [(abs(held[i][0] - held[j][0]), i) for i in range(len(held)) for j in range(i + 1, len(held))]
            held.pop(min(pairs)[1])
        assert positions(buffer) == [place for place, _ in held]
        assert buffer.cameras.center[:, 0].tolist() == [place for place, _ in held]
        assert buffer.stamps_ns.tolist() == [stamp * 10**9 for _, stamp in held]


def test_hundreds_of_keyframes_keep_their_cameras_and_stamps() -> None:
    """More than the first memory holds, and then fewer."""
    buffer = KeyframeBuffer(KeyframeConfig(capacity=300))
    for x in range(200):
        buffer.add(frame_at(float(x), seconds=x), FEATURES)
    buffer.config = KeyframeConfig(capacity=300, max_age=190.0)
    buffer.expire(199 * 10**9)
    assert buffer.cameras.center[:, 0].tolist() == [*range(9, 200)]
    assert buffer.stamps_ns.tolist() == [second * 10**9 for second in range(9, 200)]
    torch.testing.assert_close(buffer.cameras.intrinsics, frame_at().camera.intrinsics.expand(191, 3, 3))
    assert buffer.judge(frame_at(8.0)) is Verdict.ENTERS
    assert buffer.judge(frame_at(9.0)) is Verdict.TOO_CLOSE


def test_new_units_of_the_gate_change_what_is_redundant() -> None:
    buffer = KeyframeBuffer(KeyframeConfig(capacity=4, min_translation=0.1, min_rotation=90.0))
    for x, degrees in ((0.0, 0.0), (1.0, 0.0), (5.0, 40.0), (5.3, 0.0)):
        buffer.add(frame_at(x, degrees), FEATURES)
    buffer.config = KeyframeConfig(capacity=4, min_translation=10.0, min_rotation=1.0)  # it is turning that counts now
    left = buffer.add(frame_at(9.0, 80.0), FEATURES)
    assert [round(float(keyframe.camera.center[0]), 3) for keyframe in left] == [0.0]


def test_a_frame_of_another_size_is_refused_and_nothing_is_kept() -> None:
    buffer = KeyframeBuffer()
    buffer.add(frame_at(), FEATURES)
    with pytest.raises(ValueError, match="size 32x24, the keyframes held 64x48"):
        buffer.add(frame_at(1.0).resized(32, 24), FEATURES)
    assert (len(buffer), len(buffer.cameras.center), buffer.revision) == (1, 1, 1)
    buffer.clear()
    buffer.add(frame_at(1.0).resized(32, 24), FEATURES)
    assert positions(buffer) == [1.0]


def test_the_most_redundant_leave_until_what_is_held_fits_the_budget() -> None:
    # 64 x 48 pixels of 3 + 4 + 1 bytes, and 512 x 12 x 16 features of 4: 408 KiB. Five fit into 2 MiB.
    features = torch.zeros(512, 12, 16)
    buffer = KeyframeBuffer(KeyframeConfig(memory_budget=2))
    left: list[float] = []
    for x in (0.0, 1.0, 1.2, 3.0, 5.0, 9.0):
        depth, labels = torch.ones(48, 64), torch.zeros(48, 64, dtype=torch.uint8)
        frame = replace(frame_at(x), depth=depth, labels=labels)
        left += [round(float(keyframe.camera.center[0]), 3) for keyframe in buffer.add(frame, features)]
        assert buffer.bytes == len(buffer) * 408 * 1024
    assert (left, positions(buffer)) == ([1.0], [0.0, 1.2, 3.0, 5.0, 9.0])
    buffer.config = KeyframeConfig(memory_budget=1)
    assert len(buffer.add(frame_at(20.0), FEATURES)) == 3
    assert positions(buffer)[-1] == 20.0
    assert buffer.bytes <= 2**20


def test_the_newest_keyframe_stays_even_if_it_alone_is_beyond_the_budget() -> None:
    buffer = KeyframeBuffer(KeyframeConfig(memory_budget=1))
    for x in (0.0, 1.0):
        buffer.add(frame_at(x), torch.zeros(1024, 32, 32))
        assert positions(buffer) == [x]


@given(xs=st.lists(st.floats(-5, 5, allow_nan=False), min_size=1, max_size=12), capacity=st.integers(1, 5))
def test_the_buffer_is_bounded_the_newest_always_stays_and_numbers_are_unique(xs: list[float], capacity: int) -> None:
    buffer = KeyframeBuffer(KeyframeConfig(capacity=capacity))
    seen: list[int] = []
    for x in xs:
        left = buffer.add(frame_at(x), FEATURES)
        assert len(buffer) <= capacity
        assert positions(buffer)[-1] == round(float(torch.tensor(x)), 3)
        seen += [keyframe.number for keyframe in left]
    assert sorted(seen + [keyframe.number for keyframe in buffer]) == list(range(len(xs)))


def test_keyframes_older_than_max_age_leave_and_none_do_without_it() -> None:
    aging = KeyframeBuffer(KeyframeConfig(max_age=10.0))
    keeping = KeyframeBuffer()
    for buffer in (aging, keeping):
        for second in (0.0, 5.0, 12.0):
            buffer.add(frame_at(second, seconds=second), FEATURES)
        buffer.expire(round(15.5e9))
    assert positions(aging) == [12.0]
    assert positions(keeping) == [0.0, 5.0, 12.0]


def test_distances_are_in_units_of_the_gate() -> None:
    poses = torch.stack([frame_at(0.2).camera.world_from_camera, frame_at(0.05, 30).camera.world_from_camera])
    assert pose_distances(torch.eye(4), poses, 0.10, 10.0).tolist() == pytest.approx([2.0, 3.0], rel=1e-4)


@pytest.mark.parametrize(
    "bad", [{"capacity": 0}, {"memory_budget": -1}, {"min_translation": -1.0}, {"max_age": math.nan}]
)
def test_nonsense_is_refused_by_name(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"keyframes.{next(iter(bad))}"):
        KeyframeConfig(**bad)  # type: ignore[arg-type]


def test_labels_count_towards_the_budget_and_the_most_redundant_leave_for_them() -> None:
    # 9216 bytes of picture, 3072 of labels; two pictures and features of 1.04 MB almost fill 2 MiB.
    features = torch.zeros(1, 1, (2**21 - 2 * 9216 - 4000) // 8)
    buffer = KeyframeBuffer(KeyframeConfig(memory_budget=2))
    for x in (0.0, 1.0):
        buffer.add(frame_at(x), features)
    labels = torch.zeros(48, 64, dtype=torch.uint8)
    assert buffer.label(0, labels).frame.labels is labels
    assert positions(buffer) == [0.0, 1.0]
    buffer.label(1, labels)
    assert positions(buffer) == [1.0]
    assert (buffer[0].frame.labels is labels, buffer.bytes) == (True, buffer[0].bytes)


def test_keyframes_of_a_saved_buffer_keep_their_numbers_and_later_ones_count_on() -> None:
    buffer, saved = KeyframeBuffer(), [Keyframe(number, frame_at(float(number)), FEATURES) for number in (3, 7)]
    for keyframe in saved:
        buffer.enter(keyframe)
    buffer.add(frame_at(9.0), FEATURES)
    assert [keyframe.number for keyframe in buffer] == [3, 7, 8]
    with pytest.raises(ValueError, match="number 7; expected 9 or more"):
        buffer.enter(saved[1])
    assert len(buffer) == len(buffer.stamps_ns) == 3


def test_new_features_take_the_place_of_the_old_ones_all_or_none() -> None:
    buffer = KeyframeBuffer()
    for x in (0.0, 1.0):
        buffer.add(frame_at(x), FEATURES)
    revision, larger = buffer.revision, torch.ones(2, 12, 16)
    with pytest.raises(ValueError, match="zip"):
        buffer.replace_features([larger])
    assert [keyframe.features is FEATURES for keyframe in buffer] == [True, True]
    buffer.replace_features([larger, larger])
    assert buffer.bytes == 2 * (48 * 64 * 3 + larger.nbytes)
    assert (buffer.revision, positions(buffer)) == (revision + 1, [0.0, 1.0])
