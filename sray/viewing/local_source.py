"""LocalSource: a mapper in this process, of a saved session or fed with frames, as the source of a viewer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from jaxtyping import Float, UInt8
from torch import Tensor

from sray.camera import Camera
from sray.checkpoint import Checkpoint
from sray.errors import CanceledError, FileError, SrayError, TooFewViewsError
from sray.field import SemanticField
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.mapping.cloud import LabeledCloud, write_ply
from sray.mapping.keyframes import Keyframe, KeyframeConfig
from sray.mapping.mapper import Mapper
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.mapping.voxel_map import CONFIRMED
from sray.model import SemanticRay
from sray.render_config import RenderConfig
from sray.sampling import ROOM_BOUNDS
from sray.viewing.local_tuning import LocalTuning, Tuned
from sray.viewing.source import Answer, Settings, ShownKeyframe, Status, Tuning

QUICKEST = "fast"


@dataclass(frozen=True)
class Feed:
    """Frames to map, and how many there are."""

    frames: Iterable[Frame]
    count: int


class LocalSource:
    """One mapper, used by one thread at a time; a browser goes before the frames that are being mapped."""

    def __init__(self, checkpoint: Checkpoint[SemanticRay], config: MapperConfig, title: str, folder: Path) -> None:
        """`folder`: where sessions and maps are saved."""
        self._title = title
        self._folder = folder
        self._checkpoint = checkpoint
        self._settings = Settings(max_latency=None)
        self._mapper = Mapper(self._field(checkpoint.model, "balanced"), checkpoint.label_space.classes, config)
        self._turn = threading.Lock()
        """Of the mapper: it is not thread safe."""
        self._visitors = 0
        """Browsers that render or wait for their turn."""
        self._shown: tuple[ShownKeyframe, ...] = ()
        self._held: dict[int, Keyframe] = {}
        self._camera: Camera | None = None
        self._text = ""
        self._revision = 0
        self._is_open = True
        self._feeder: threading.Thread | None = None
        self._fields: dict[str, SemanticField] = {}
        self._make_fields()
        self._tuning = LocalTuning(checkpoint, self._session, self._bounds, self._take_model)

    @staticmethod
    def of_session(checkpoint: Checkpoint[SemanticRay], session: Session, title: str, folder: Path) -> LocalSource:
        """What was saved, all of it. Raises ModelError for another label space."""
        config = MapperConfig(
            KeyframeConfig(capacity=max(KeyframeConfig().capacity, len(session.keyframes))),
            map=replace(
                CONFIRMED,
                voxel_size=session.map.voxel_size,
                max_voxels=max(CONFIRMED.max_voxels, len(session.map.keys)),
            ),
        )
        source = LocalSource(checkpoint, config, title, folder)
        source.restore(session)
        return source

    # --- what is in it

    def restore(self, session: Session) -> None:
        """Take a saved session's keyframes and map. Raises ModelError for another label space."""
        session.restore(self._mapper, self._checkpoint.label_space)
        self._note()
        self._text = f"{len(self._shown)} keyframes, {len(self.map()):,} voxels"

    def feed(self, feed: Feed) -> None:
        """Map the frames, one after the other, on a thread of its own."""
        self._feeder = threading.Thread(target=self._feed, args=(feed,), name="feeder", daemon=True)
        self._feeder.start()

    def finish(self) -> None:
        """Wait until all frames are mapped."""
        if self._feeder is not None:
            self._feeder.join()

    def _feed(self, feed: Feed) -> None:
        try:
            for number, frame in enumerate(feed.frames, 1):
                if not self._is_open:
                    return
                self._map(frame)
                self._text = f"frame {number} of {feed.count}, {len(self._shown)} keyframes"
        except SrayError as error:
            self._text = f"mapping has ended early: {error}"
        finally:
            self._camera = None

    def _map(self, frame: Frame) -> None:
        """As the node does: a frame that becomes a keyframe is rendered from the others, and fused into the map."""
        with self._turn:
            added = self._mapper.add(frame)
            self._camera = frame.camera
            self._note()
        while added.keyframe is not None and self._is_open:
            try:
                with self._turn:
                    rendering = self._mapper.render(
                        frame.camera,
                        stamp_ns=frame.stamp_ns,
                        canceled=lambda: bool(self._visitors) or not self._is_open,
                    )
                    self._mapper.fuse(rendering.view, self._mapper.cloud_of(rendering.view))
                return
            except TooFewViewsError:
                return
            except CanceledError:
                pass
            while self._visitors and self._is_open:  # somebody looks around: that comes first
                time.sleep(0.02)

    # --- as a Source

    @property
    def title(self) -> str:
        return self._title

    @property
    def label_space(self) -> LabelSpace:
        return self._checkpoint.label_space

    @property
    def voxel_size(self) -> float:
        return self._mapper.config.map.voxel_size

    def status(self) -> Status:
        return Status(self._text, revision=self._revision)

    def map_revision(self) -> int:
        return self._mapper.map.revision

    def map(self) -> LabeledCloud:
        with self._turn:
            return self._mapper.map.to_cloud()

    def keyframes(self) -> tuple[ShownKeyframe, ...]:
        return self._shown

    def picture(self, number: int) -> UInt8[Tensor, "height width 3"] | None:
        keyframe = self._held.get(number)
        return None if keyframe is None else keyframe.frame.image

    def depth(self, number: int) -> Float[Tensor, "height width"] | None:
        keyframe = self._held.get(number)
        return None if keyframe is None else keyframe.frame.depth

    def running_camera(self) -> Camera | None:
        return self._camera

    def render(
        self,
        camera: Camera,
        *,
        is_preview: bool = False,
        own: ShownKeyframe | None = None,
        canceled: Callable[[], bool] = lambda: False,
    ) -> Answer:
        with self._visit(canceled):
            field = self._fields["preview" if is_preview else "full"]
            stamp_ns = None if own is None else own.stamp_ns
            rendering = self._mapper.render(camera, stamp_ns=stamp_ns, field=field, canceled=canceled)
        return Answer(rendering.view, tuple(keyframe.number for keyframe in rendering.sources))

    def settings(self) -> Settings:
        return self._settings

    def change(self, settings: Settings) -> None:
        with self._turn:
            self._settings = settings
            self._make_fields()
            self._revision += 1

    def tuning(self) -> Tuning:
        return self._tuning.state

    def tune(self, steps: int, time_limit: float) -> None:
        self._tuning.start(steps, time_limit)

    def stop_tuning(self) -> None:
        self._tuning.stop()

    def use_model(self, which: Literal["before", "tuned"]) -> None:
        self._tuning.use(which)

    def save_session(self, name: str) -> str:
        path = self._path(name, ".safetensors")
        session = self._session()
        session.save(path)
        return f"{len(session.keyframes)} keyframes and the map in {path}"

    def save_map(self, name: str) -> str:
        path, cloud = self._path(name, ".ply"), self.map()
        write_ply(path, cloud, self.label_space)
        return f"{len(cloud):,} points in {path}"

    def close(self) -> None:
        self._is_open = False
        self._tuning.stop()
        if self._feeder is not None:
            self._feeder.join(10)

    # --- its own

    @contextmanager
    def _visit(self, canceled: Callable[[], bool]) -> Iterator[None]:
        """A turn with the mapper. Raises CanceledError if it was not to be had before `canceled` said so."""
        self._visitors += 1
        try:
            while not self._turn.acquire(timeout=0.02):
                if canceled():
                    raise CanceledError("canceled before it was rendered")
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._visitors -= 1

    def _path(self, name: str, ending: str) -> Path:
        """Raises FileError for a name that leads elsewhere."""
        path = Path(name)
        if not name or path.is_absolute() or ".." in path.parts:
            raise FileError(f"{name!r} is no name in {self._folder}", "one such as kitchen, or monday/kitchen")
        self._folder.joinpath(path.parent).mkdir(parents=True, exist_ok=True)
        return self._folder / (name if name.endswith(ending) else name + ending)

    def _session(self) -> Session:
        with self._turn:
            return Session.of(self._mapper, self._checkpoint.id, self.label_space)

    def _bounds(self) -> tuple[float, float]:
        with self._turn:
            keyframes = self._mapper.keyframes
            return self._mapper.bounds(keyframes[len(keyframes) - 1].camera) if len(keyframes) else ROOM_BOUNDS

    def _take_model(self, tuned: Tuned) -> None:
        """Render with other weights from now on."""
        with self._turn:
            self._mapper.change_model(self._field(tuned.model, self._settings.quality))
            self._checkpoint = replace(self._checkpoint, model=tuned.model, sha256=tuned.sha256)
            self._make_fields()
            self._note()
            self._revision += 1

    def _field(self, model: SemanticRay, quality: str) -> SemanticField:
        return SemanticField(model, replace(RenderConfig.preset(quality), min_confidence=self._settings.min_confidence))

    def _make_fields(self) -> None:
        model = self._checkpoint.model
        self._fields = {
            "preview": self._field(model, QUICKEST),
            "full": self._field(model, self._settings.quality),
        }

    def _note(self) -> None:
        """What the keyframes are now; a turn must be held."""
        known = {keyframe.number: keyframe for keyframe in self._shown}
        self._held = {keyframe.number: keyframe for keyframe in self._mapper.keyframes}
        self._shown = tuple(
            known.get(number) or ShownKeyframe(
                number, keyframe.camera, keyframe.stamp_ns, keyframe.frame.depth is not None,
                keyframe.frame.labels is not None,
            )
            for number, keyframe in self._held.items()
        )  # fmt: skip
