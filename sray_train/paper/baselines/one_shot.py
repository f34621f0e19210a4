"""One shot: the source views' depth seen from the target, and one semantic sample a ray. No network along rays.

After GSNeRF (Chou et al., CVPR 2024), which estimates depth of every source view by a cost volume, sees it from the
target, and places its samples there. Deviations: nothing is trained for it, depth is that of this project's stereo
network (or a sensor's), the one sample takes the mean of what the 2D classifier reads in the views that see it, where
GSNeRF learns weights of the views, and pixels that no source's depth reaches take that of the nearest one reached.

    shot = OneShot(NetworkLabels(model), model)
    shot.set_sources(views)            # depth of the views where they have it, else from stereo
    view = shot.render(camera)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from sray.camera import Camera
from sray.errors import ModelError, NoViewsError
from sray.field import RenderedView
from sray.frames import SourceViews
from sray.guidance import PixelGrid, nearest_depth
from sray.label_space import VOID
from sray.ray_model import RayModel
from sray.sampling import ROOM_BOUNDS, Bounds
from sray.visibility import Surfaces
from sray_train.paper.baselines.picture_labels import PictureLabels
from sray_train.paper.baselines.surface import sightings


@dataclass(frozen=True)
class _Shown:
    views: SourceViews
    log_likelihood: Float[Tensor, "views height width classes"]


class OneShot:
    """In SemanticField's place where pictures are scored. Works on the CPU. Not thread safe."""

    system: ClassVar[str] = "one_shot"

    def __init__(self, labels: PictureLabels, model: RayModel | None = None) -> None:
        """`model`: its stereo network, if it has one, gives depth to views that have none."""
        self._labels = labels
        self._model = model
        self._shown: _Shown | None = None

    @torch.inference_mode()
    def set_sources(self, views: SourceViews, *, bounds: Bounds | None = None) -> None:
        """Look at these views. Raises ModelError for views without depth, and no stereo."""
        if self._model is not None:
            views = self._model.with_stereo(views, bounds or ROOM_BOUNDS)
        if views.depth is None:
            raise ModelError(
                "the source views have no depth, and there is no stereo network",
                "RGB-D views (--depth), or a checkpoint with stereo",
            )
        self._shown = _Shown(views, self._labels(views).clamp_min(1e-6).log())

    @torch.inference_mode()
    def render(self, camera: Camera) -> RenderedView:
        """Void where no source view sees the surface. Raises NoViewsError before `set_sources`."""
        if self._shown is None:
            raise NoViewsError("render() has no source views", remedy="Call set_sources(views) first")
        views = self._shown.views
        camera = camera.relative_to(views.camera.origin)
        view = RenderedView.blank(camera)
        depth = filled(nearest_depth(views, camera, PixelGrid(camera.width, camera.height, 1)))
        found = sightings(camera, depth, views, Surfaces.of(views))
        confidence, labels = torch.softmax(found.mean(self._shown.log_likelihood), -1).max(-1)
        seen = found.seen_by > 0
        color = found.mean(views.images.permute(0, 2, 3, 1))
        flat = torch.where(seen, depth.flatten(), torch.nan)
        for whole, part in (
            (view.labels, torch.where(seen, labels.to(torch.uint8), VOID)),
            (view.confidence, torch.where(seen, confidence, 0.0)),
            (view.common_color, color),
            (view.depth, flat),
            (view.depth_with_void, flat),
            (view.opacity, seen.float()),
            (view.coverage, found.seen_by.to(torch.uint8)),
        ):
            whole.copy_(part.reshape(whole.shape))
        return view


def filled(depth: Float[Tensor, "height width"]) -> Float[Tensor, "height width"]:
    """The depth with every unknown pixel (NaN) taking that of the nearest known one; as it is if none is known."""
    unknown = ~torch.isfinite(depth)
    if unknown.all():
        return depth
    nearest = distance_transform_edt(unknown.numpy(), return_distances=False, return_indices=True)
    rows, columns = (torch.from_numpy(index) for index in nearest)
    return depth[rows.long(), columns.long()]
