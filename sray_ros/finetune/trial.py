"""What the worker does for fine-tuning: it takes a snapshot, and tries the new model."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sray.checkpoint import Checkpoint
from sray.errors import NoViewsError, StaleError
from sray.field import RenderedView
from sray.held_out import Score, small
from sray.mapping.adaptation import AdaptationConfig, check_keyframes
from sray.mapping.session import Session
from sray.mapping.voxel_map import VoxelMap
from sray_ros.finetune.host import Scene
from sray_ros.finetune.process import Handover


def snapshot(scene: Scene, numbers: Collection[int], config: AdaptationConfig) -> tuple[Session, tuple[float, float]]:
    """The keyframes to fine-tune on (all, if no numbers are given), without the map; near and far of the scene.

    Raises NoViewsError if one of the numbers is not held; TooFewViewsError, as `check_keyframes` says.
    """
    mapper = scene.mapper
    held = {keyframe.number: keyframe for keyframe in mapper.keyframes}
    if missing := sorted(set(numbers) - held.keys()):
        raise NoViewsError(
            f"keyframe {missing[0]} is not held (any more)", "ids that ~/list_keyframes lists, or none for all"
        )
    kept = [keyframe for keyframe in held.values() if not numbers or keyframe.number in numbers]
    check_keyframes([keyframe.frame for keyframe in kept], config)
    bounds = [mapper.bounds(keyframe.camera) for keyframe in kept]
    label_space = scene.checkpoint.label_space
    frames = tuple((keyframe.number, keyframe.frame) for keyframe in kept)
    empty = VoxelMap(label_space.classes, mapper.config.map).state()
    session = Session(scene.checkpoint.id, label_space, frames, mapper.keyframes.next_number, empty)
    return session, (min(near for near, _ in bounds), max(far for _, far in bounds))


class ModelTrial:
    """The held-out keyframes as the node renders them itself, with the old model and the new; then one of the two.

    All of it is one command of the worker's: between two views there is the old model or the new one, whatever happens.
    """

    def __init__(
        self,
        job: Handover,
        tuned: Checkpoint,
        file: str,
        held_out: Collection[int],
        by_labels: bool,
        is_stopped: Callable[[], bool],
    ) -> None:
        """`file`: what ~/load_model knows the new model by. `by_labels`: as `Score.worth`."""
        self._job = job
        self._tuned = tuned
        self._file = file
        self._judges = [small(frame) for number, frame in job.session.keyframes if number in held_out]
        self._by_labels = by_labels
        self._is_stopped = is_stopped

    def run(self, scene: Scene) -> str:
        """On the worker's thread. "" if the new model renders from now on, else why not.

        Raises StaleError if another model was loaded meanwhile, or all keyframes are others; as `change_model`.
        """
        if scene.checkpoint.sha256 != self._job.checkpoint.sha256:
            raise StaleError("another model was loaded meanwhile, and stays")
        # Compared by their pictures, because numbers begin anew where a session is loaded.
        held = {id(keyframe.frame.image) for keyframe in scene.mapper.keyframes}
        if not any(id(frame.image) in held for _, frame in self._job.session.keyframes):
            raise StaleError("none of the keyframes that it learned from is held any more")
        before, complaint = self._look(scene), ""

        def accept() -> bool:
            nonlocal complaint
            complaint = self._complaint(before, self._look(scene))
            return not complaint

        scene.change_model(self._tuned, self._file, self._is_stopped, accept)
        return complaint

    def _look(self, scene: Scene) -> list[RenderedView | None]:
        return [scene.rehearse(frame, self._is_stopped) for frame in self._judges]

    def _complaint(self, before: list[RenderedView | None], after: list[RenderedView | None]) -> str:
        """How much worse the second look is; "" if it is not. Classes that were not seen both times do not count."""
        both = [
            (old, new, frame)
            for old, new, frame in zip(before, after, self._judges, strict=True)
            if old is not None and new is not None
        ]
        classes = self._tuned.label_space.classes
        then = Score.of([(old, frame) for old, _, frame in both], classes).worth(by_labels=self._by_labels)
        now = Score.of([(new, frame) for _, new, frame in both], classes).worth(by_labels=self._by_labels)
        if not both or now >= then:
            return ""
        what = "strict mIoU" if self._by_labels else "dB"
        return (
            f"scored better by the fine-tuning process, but worse as the node itself renders the held-out keyframes "
            f"({what} {then:.3f} -> {now:.3f}); the model stays as it was"
        )
