"""Mapper: frames in; labeled views, clouds and a fused map out. Acts; keeps no files and knows no ROS.

Encode once, ask many times: a keyframe's features are computed when it enters the buffer and serve every render until
it leaves. Not thread-safe: one thread owns a mapper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.camera import Camera
from sray.errors import ModelError, NoMemoryError, PictureError
from sray.field import RenderedView, SemanticField
from sray.frames import Frame, nearest_exact
from sray.label_space import VOID
from sray.mapping.cloud import LabeledCloud, cloud_of_view
from sray.mapping.keyframe_depth import StereoKeeper
from sray.mapping.keyframe_exposure import ExposureKeeper, ExposureState
from sray.mapping.keyframes import Keyframe, KeyframeBuffer, Verdict
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.refusals import check_pose, go_on, memory_errors
from sray.mapping.sources import choose_sources, depths_seen_from, source_views
from sray.mapping.voxel_map import VoxelMap, VoxelMapState
from sray.sampling import ROOM_BOUNDS, Bounds, scene_bounds
from sray.stereo.found import FoundDepth, same_weights


@dataclass(frozen=True)
class Added:
    """What became of a frame."""

    verdict: Verdict
    keyframe: Keyframe | None
    """The new keyframe, if it became one."""
    left: tuple[Keyframe, ...] = ()
    """Keyframes that left the buffer for it, or for their age."""
    without_depth: NoMemoryError | None = None
    """Why stereo did not find its depth, where it should have."""


@dataclass(frozen=True)
class Rendering:
    """A rendered view, and what it was rendered from."""

    view: RenderedView
    sources: tuple[Keyframe, ...]
    """Best first."""
    bounds: Bounds
    """Near and far, meters."""


class Mapper:
    """Keyframes, a field over them, and the fused map."""

    def __init__(self, field: SemanticField, classes: int, config: MapperConfig | None = None) -> None:
        self.config = config or MapperConfig()
        self.keyframes = KeyframeBuffer(self.config.keyframes)
        self.map = VoxelMap(classes, self.config.map)
        self._classes = classes
        self._field = field
        self._stereo = StereoKeeper(field)
        self.exposure = ExposureKeeper()
        """Gains of the keyframes."""

    def configure(self, config: MapperConfig, field: SemanticField | None = None) -> None:
        """Take new settings, and a field of the same model, from the next frame on; keyframes and map stay.

        Raises ValueError if size or number of the voxels would change: that takes a new mapper.
        """
        was_matched = self._field.config.match_exposure
        self.map.config = config.map
        self.config = config
        self.keyframes.config = config.keyframes
        self._field = field or self._field
        self._stereo = StereoKeeper(self._field)
        if self._field.config.match_exposure and not was_matched:
            self.exposure.renew(self.keyframes)

    @property
    def stereo_network(self) -> str:
        """A short name of the weights that find the depth of keyframes; empty: none do."""
        return self._stereo.digest if self.config.stereo else ""

    def add(self, frame: Frame) -> Added:
        """Offer a posed frame; it is encoded and kept if the gate lets it in.

        Raises PoseError if its pose is not a rigid transform, NoMemoryError if encoding did not fit.
        """
        check_pose(frame.camera, f"frame {frame.name or frame.stamp_ns}")
        expired = self.keyframes.expire(frame.stamp_ns)
        verdict = self.keyframes.judge(frame)
        if verdict is not Verdict.ENTERS:
            return Added(verdict, None, tuple(expired))
        if len(self.keyframes):
            # One batch of sources has one size; a second camera is brought to the first one's.
            first = self.keyframes[0].camera
            frame = frame.resized(first.width, first.height)
        if frame.depth is not None and self.config.max_depth > 0:
            believed = torch.where(frame.depth <= self.config.max_depth, frame.depth, torch.nan)
            frame = replace(frame, depth=believed)
        like = self.keyframes[0].features if len(self.keyframes) else None
        left = self.keyframes.add(frame, _encode(self._field, frame, like))
        without_depth = None
        if self.config.stereo:
            try:
                with memory_errors("find the depth of a keyframe", "smaller images, or depth.stereo false"):
                    self._stereo.entered(self.keyframes)
            except NoMemoryError as error:
                without_depth = error  # its picture is worth keeping all the same
            left += self.keyframes.thin()
        if self._field.config.match_exposure:
            self.exposure.entered(self.keyframes)
        return Added(verdict, self.keyframes[len(self.keyframes) - 1], (*expired, *left), without_depth)

    def supervise(self, stamp_ns: int, labels: UInt8[Tensor, "height width"], slop_ns: int = 0) -> Keyframe | None:
        """Give a label image to the keyframe whose stamp is nearest within the slop.

        Labels are class indices, 255 unlabeled, of any size. They may come late, and again: those nearest to the
        keyframe's stamp hold, the last of them. None if there is no such keyframe, or it has nearer ones.
        Raises PictureError for a label that is no class, or a picture without pixels.
        """
        strange = labels[(labels >= self._classes) & (labels != VOID)]
        if not labels.numel() or len(strange):
            found = f"hold {int(strange[0])}" if len(strange) else "have no pixels"
            raise PictureError(
                f"the labels at {stamp_ns * 1e-9:.3f} s {found}",
                f"indices of {self._classes} classes, 0 to {self._classes - 1}, or {VOID} where unlabeled",
                "Convert a dataset's own ids first",
            )
        index = self.keyframes.awaiting_labels(stamp_ns, slop_ns)
        if index is None:
            return None
        camera, apart_ns = self.keyframes[index].camera, abs(self.keyframes[index].stamp_ns - stamp_ns)
        resized = torch.from_numpy(nearest_exact(labels.numpy(), camera.width, camera.height))
        return self.keyframes.label(index, resized, apart_ns)

    def change_model(
        self,
        field: SemanticField,
        canceled: Callable[[], bool] | None = None,
        accept: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Go on with another model: every keyframe is encoded anew, the map stays. `canceled` is asked between them.

        With an encoder of the same weights their features stay too. `accept` is asked when the new model renders, and
        may render to find out; unless it agrees, the old one goes on. Returns whether the new one does.
        Raises SrayError, and goes on with the old model: ModelError if it has another number of classes,
        NoMemoryError if both models' features do not fit, CanceledError, and whatever `accept` raises.
        """
        classes = field.model.config.classes
        if classes != self._classes:
            raise ModelError(
                f"the new model tells {classes} classes apart, the map holds {self._classes}",
                "the same label space",
                "Start a new map for another one",
            )
        keyframes, old, stereo, exposure = list(self.keyframes), self._field, self._stereo, self.exposure
        is_taken = False
        try:
            with memory_errors("go on with another model", "fewer keyframes.capacity or smaller images"):
                self._take(field, canceled)
                is_taken = accept()
        finally:
            if not is_taken:
                self._field, self._stereo, self.exposure = old, stereo, exposure
                self.keyframes.exchange(keyframes)
        return is_taken

    def _take(self, field: SemanticField, canceled: Callable[[], bool] | None) -> None:
        """Bring the keyframes to another model, as far as it differs from the present one."""
        old, self._field, self._stereo = self._field, field, StereoKeeper(field)
        is_encoded_anew = not same_weights(field.model.encoder, old.model.encoder)
        if is_encoded_anew:
            features: list[Tensor] = []
            for keyframe in self.keyframes:
                go_on(canceled)
                features.append(_encode(field, keyframe.frame, features[0] if features else None))
            self.keyframes.replace_features(features)
        has_other_stereo = not same_weights(field.model.stereo, old.model.stereo)
        if not self.config.stereo:
            if is_encoded_anew or has_other_stereo:
                self._stereo.forget(self.keyframes)  # what was matched before it was switched off
            return
        if has_other_stereo:
            self._stereo.renew(self.keyframes, lambda: go_on(canceled))
            if field.config.match_exposure:
                self.exposure = ExposureKeeper()
                self.exposure.renew(self.keyframes)
        elif is_encoded_anew:
            self._stereo.match_anew(self.keyframes)

    def restore(
        self,
        keyframes: Iterable[tuple[int, Frame]],
        next_number: int,
        state: VoxelMapState,
        canceled: Callable[[], bool] | None = None,
        stereo: Mapping[int, FoundDepth] | None = None,
        exposure: ExposureState | None = None,
    ) -> None:
        """Take saved keyframes (number and frame, oldest first) and a saved map instead of the present ones.

        `stereo`: by their numbers, what `stereo_network` found of them; `exposure`: of all of them; None: it is found
        anew. Each is encoded; more than the configured limits hold are thinned out as ever. Revisions count on from the
        higher of the two. `canceled` is asked between keyframes. Raises NoMemoryError, CanceledError, or ValueError for
        what does not fit, and changes nothing.
        """
        buffer = KeyframeBuffer(self.config.keyframes)
        with memory_errors("hold the saved keyframes", "a lower keyframes.capacity, or depth.stereo false"):
            for number, frame in keyframes:
                go_on(canceled)
                like = buffer[0].features if len(buffer) else None
                keyframe = Keyframe(number, frame, _encode(self._field, frame, like))
                if self.config.stereo and stereo is not None:
                    keyframe = self._stereo.recalled(keyframe, stereo.get(number))
                buffer.enter(keyframe)
            if self.config.stereo and stereo is None:
                self._stereo.renew(buffer, lambda: go_on(canceled))
                buffer.thin()
        buffer.next_number = max(next_number, buffer.next_number)
        buffer.revision = max(self.keyframes.revision, buffer.revision) + 1
        restored = VoxelMap.from_state(state, self.config.map)
        restored.revision = max(self.map.revision, restored.revision) + 1
        keeper = ExposureKeeper()
        # Gains found of other depth, or never looked for, are found anew.
        is_of_this_depth = stereo is not None or not self.config.stereo
        if exposure is not None and is_of_this_depth and len(exposure.pairs) and len(exposure.log_gains) == len(buffer):
            keeper.recall(buffer, exposure)
        elif self._field.config.match_exposure:
            keeper.renew(buffer)
        self.keyframes, self.map, self.exposure = buffer, restored, keeper

    def render(
        self,
        camera: Camera,
        *,
        stamp_ns: int | None = None,
        scale: float = 1.0,
        field: SemanticField | None = None,
        on_progress: Callable[[float], None] | None = None,
        canceled: Callable[[], bool] | None = None,
    ) -> Rendering:
        """What the camera would see. `stamp_ns` names the target's own frame, which is no source unless `include_own`.

        `field`: one of the same model, at another quality, instead of the configured one.
        Raises NoViewsError, TooFewViewsError, PoseError, CanceledError, NoMemoryError.
        """
        check_pose(camera, "the requested view")
        bounds = self.bounds(camera)
        chosen = choose_sources(camera, self.keyframes, self.config.views, stamp_ns, bounds)
        views = source_views(chosen, has_stereo=self._field.model.stereo is not None)
        features = torch.stack([keyframe.features for keyframe in chosen])
        views, field = replace(views, gains=self.exposure.gains(chosen)), field or self._field
        remedy = "smaller render.width and render.height or fewer views.count"
        with memory_errors("render", remedy), field.showing(views, features, bounds):
            view = field.render(camera, scale=scale, on_progress=on_progress, canceled=canceled)
        return Rendering(view, tuple(chosen), bounds)

    def cloud_of(self, view: RenderedView) -> LabeledCloud:
        """The view's labeled cloud, in the map's frame if there is a map; `fuse` takes it."""
        cloud = cloud_of_view(view, **asdict(self.config.cloud))
        return cloud.relative_to(self.map.origin) if len(self.map) else cloud

    def fuse(self, view: RenderedView, cloud: LabeledCloud) -> int:
        """Take a view and its cloud (`cloud_of`) into the map; returns how many voxels have a point of it.

        Where it sees past what the map holds, that counts against the map; where it is void it sees nothing.
        """
        touched = self.map.integrate(cloud)
        self.map.carve(view.camera, view.depth)
        return touched

    def bounds(self, camera: Camera) -> Bounds:
        """Near and far, meters, along the rays of a camera.

        What is configured; else from the depth of the keyframes around, as the camera would see it, with a margin;
        else a room's.
        """
        near, far = scene_bounds(depths_seen_from(camera, self.keyframes)) or ROOM_BOUNDS
        near, far = self.config.near or near, self.config.far or far
        # One configured bound may lie beyond the scene's other one: what was configured stays, the other makes room.
        if near >= far:
            near, far = (near, 2 * near) if self.config.near else (far / 2, far)
        return near, far

    def clear(self) -> None:
        """Forget keyframes and map."""
        self.keyframes.clear()
        self.map.clear()


def _encode(field: SemanticField, frame: Frame, like: Tensor | None) -> Float[Tensor, "channels rows columns"]:
    """`like`: features of the buffer's first keyframe, so that all have one size."""
    with memory_errors("encode a keyframe", "fewer keyframes.capacity or smaller images"):
        return field.encode(frame.image, frame.camera, like)
