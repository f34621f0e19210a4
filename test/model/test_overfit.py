"""The whole model learns one small scene: the loss falls, the labels, the colors and the depth become right."""

from __future__ import annotations

from pathlib import Path

import torch

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.field import RenderConfig, SemanticField
from sray.frames import SourceViews
from sray.label_space import VOID, LabelSpace
from sray.learning.losses import LossWeights, RayTargets, total_loss
from sray.metrics import ConfusionMatrix, psnr
from sray.model import SemanticRay, SemanticRayConfig
from sray.rays import SampleCounts

BOUNDS = (1.0, 4.0)
SAMPLES = SampleCounts(12, 8)
STRIPES = LabelSpace("stripes", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))


def train(model: SemanticRay, plane_scene, steps: int, weights: LossWeights) -> list[float]:
    """Few steps on four frames; each in turn is the target and the other three are its sources."""
    frames = plane_scene.ring(4)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    losses = []
    for step in range(steps):
        target = frames[step % 4]
        sources = SourceViews.from_frames([frame for frame in frames if frame is not target])
        chosen = torch.randint(0, target.labels.numel(), (128,), generator=generator)
        truth = RayTargets(
            target.image.reshape(-1, 3)[chosen].float() / 255,
            target.labels.reshape(-1)[chosen],
            target.depth.reshape(-1)[chosen],
        )
        outputs = model(
            model.encode(sources),
            model.rays(target.camera, target.camera.pixel_grid()[chosen], BOUNDS),
            SAMPLES,
            generator,
        )
        loss, _ = total_loss(outputs, truth, weights, model.depth_range(BOUNDS))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_one_scene_is_learned_and_an_unseen_view_of_it_is_right(plane_scene) -> None:
    torch.manual_seed(1)
    model = SemanticRay(SemanticRayConfig(plane_scene.classes))
    losses = train(model, plane_scene, 80, LossWeights(depth=0.1))
    assert sum(losses[-8:]) < 0.45 * sum(losses[:8])
    field = SemanticField(model, RenderConfig(coarse_samples=SAMPLES.coarse, fine_samples=SAMPLES.fine))
    field.set_sources(SourceViews.from_frames(plane_scene.ring(4)), bounds=BOUNDS)
    truth = plane_scene.frame((0.02, 0.03, 0.0), yaw_degrees=2)  # no camera stood here
    view = field.render(truth.camera)
    matrix = ConfusionMatrix(plane_scene.classes)
    matrix.update(view.labels, truth.labels)
    assert matrix.strict().miou > 0.8 > 3 * matrix.commonest_class().miou
    assert (view.labels == VOID).float().mean() < 0.05
    # Gray everywhere would score 10 dB on this wall.
    assert psnr(view.color, truth.image / 255) > 17
    # The wall is 2 m away; a render that knows nothing says the middle of the bounds.
    assert (view.depth - truth.depth).abs().nanmedian() < 0.2


def test_the_papers_letter_learns_from_color_and_labels_alone_and_goes_on_from_a_checkpoint(
    plane_scene, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    model = SemanticRay(SemanticRayConfig.paper(STRIPES.classes))
    first = train(model, plane_scene, 28, LossWeights(depth=0.0))
    save_checkpoint(tmp_path / "model.safetensors", model, STRIPES)
    second = train(load_checkpoint(tmp_path / "model.safetensors").model, plane_scene, 12, LossWeights(depth=0.0))
    assert second[0] < 0.8 * first[0], "from scratch it would stand at the top again"
    assert sum(second[-8:]) < 0.6 * sum(first[:8])
