"""The folder that `sray render` writes: what is in it, and which folders it leaves alone."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene

from sray.errors import SrayError
from sray.field import RenderedView
from sray.label_space import ROOMS, VOID
from sray_train.tools.rendering.render_folder import KINDS, RenderFolder

PLANE = PlaneScene(width=32, height=24)


def made_view(seed: int = 0) -> RenderedView:
    random = np.random.default_rng(seed)
    camera = PLANE.camera((0.0, 0.0, 0.0))
    view = RenderedView.blank(camera)
    view.labels[:] = torch.from_numpy(random.integers(0, ROOMS.classes, (24, 32)).astype(np.uint8))
    view.labels[0] = VOID
    view.exposure[:] = torch.tensor([0.5, 0.8, 0.9])
    view.common_color[:] = torch.from_numpy(random.random((24, 32, 3)).astype(np.float32))
    view.depth[:] = torch.from_numpy(random.uniform(0.5, 8, (24, 32)).astype(np.float32))
    view.depth[0] = math.nan
    view.depth[1] = 100.0
    return view


def test_what_is_written_is_what_was_rendered(tmp_path: Path) -> None:
    view = made_view()
    folder = RenderFolder.prepare(tmp_path / "out", ROOMS, {"a": 1}, overwrite=False)
    assert not folder.has(3)
    folder.write(3, view)
    assert folder.has(3) and not folder.has(2)
    files = {kind: cv2.imread(str(tmp_path / f"out/{kind}/000003.png"), cv2.IMREAD_UNCHANGED) for kind in KINDS}
    np.testing.assert_array_equal(files["labels"], view.labels.numpy())
    np.testing.assert_array_equal(files["label_colors"][..., ::-1], ROOMS.colorize(view.labels.numpy()))
    assert np.abs(files["color"][..., ::-1] / 255 - view.color.numpy()).max() < 0.5 / 255 + 1e-6
    assert files["depth"].dtype == np.uint16
    assert (files["depth"][0] == 0).all() and (files["depth"][1] == 65535).all()
    assert np.abs(files["depth"][2:] / 1000 - view.depth[2:].numpy()).max() < 0.0005 + 1e-6
    again = folder.read(3, view.camera)
    assert torch.equal(again.exposure, view.exposure) and (again.common_color - view.common_color).abs().max() < 0.004
    assert torch.equal(again.labels, view.labels) and torch.isnan(again.depth[0]).all()
    assert (again.confidence[0] == 0).all() and (again.confidence[1:] == 1).all()


def test_pictures_of_other_settings_are_neither_mixed_nor_lost(tmp_path: Path) -> None:
    settings = {"quality": "fast", "cameras": [{"own_frame": 0}], "bounds": (0.5, 8.0)}
    RenderFolder.prepare(tmp_path / "out", ROOMS, settings, overwrite=False).write(0, made_view())
    assert RenderFolder.prepare(tmp_path / "out", ROOMS, settings, overwrite=False).has(0), "the same: it goes on"
    for change, named in (({"quality": "high"}, "quality fast, now high"), ({"cameras": []}, "other cameras")):
        with pytest.raises(SrayError, match=named):
            RenderFolder.prepare(tmp_path / "out", ROOMS, settings | change, overwrite=False)
    assert (tmp_path / "out/color/000000.png").exists()
    assert not RenderFolder.prepare(tmp_path / "out", ROOMS, settings | change, overwrite=True).has(0)
    assert not (tmp_path / "out/color/000000.png").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_was_never_rendered_is_left_alone(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "color").mkdir()
    (tmp_path / "color" / "mine.png").write_text("precious")
    with pytest.raises(SrayError, match="did not write"):
        RenderFolder.prepare(tmp_path, ROOMS, {}, overwrite=overwrite)
    assert (tmp_path / "color" / "mine.png").read_text() == "precious"


def test_damaged_pictures_are_named(tmp_path: Path) -> None:
    folder = RenderFolder.prepare(tmp_path / "out", ROOMS, {}, overwrite=False)
    folder.write(0, made_view())
    with pytest.raises(SrayError, match="expected 16x12"):
        folder.read(0, made_view().camera.resized(16, 12))
    folder.file("depth", 0).write_bytes(b"cut")
    with pytest.raises(SrayError, match="000000.png cannot be decoded"):
        folder.read(0, made_view().camera)
    (tmp_path / "out" / "render.json").write_text("{")
    with pytest.raises(SrayError, match="render.json cannot be read"):
        RenderFolder.prepare(tmp_path / "out", ROOMS, {}, overwrite=False)
