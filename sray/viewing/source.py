"""Source: where a viewer has its map, its keyframes and its pictures from. A session in this process, or a ROS node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Tensor

from sray.camera import Camera
from sray.field import RenderedView
from sray.label_space import LabelSpace
from sray.mapping.cloud import LabeledCloud

Quality = Literal["fast", "balanced", "high", "reference"]
TuningState = Literal["idle", "running", "accepted", "rejected", "canceled", "failed"]


@dataclass(frozen=True)
class ShownKeyframe:
    """One keyframe, without its picture, which `Source.picture` gives."""

    number: int
    camera: Camera
    stamp_ns: int
    has_depth: bool = False
    has_labels: bool = False


@dataclass(frozen=True)
class Answer:
    """A rendered view, and the numbers of the keyframes that it was rendered from, best first."""

    view: RenderedView
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Settings:
    """What a viewer may change of how views are rendered; the node's parameters of the same names."""

    quality: Quality = "balanced"
    """`render.quality`: rays and samples spent on a full picture."""
    max_latency: float | None = 0.0
    """`render.max_latency`: seconds within which a view is wanted, at lower quality or smaller; 0: no limit. None: the
    source keeps none."""
    min_confidence: float = 0.0
    """`render.min_confidence`: a pixel whose class is less probable is void."""


@dataclass(frozen=True)
class Tuning:
    """Where fine-tuning stands."""

    state: TuningState = "idle"
    text: str = ""
    """One line for people."""
    losses: tuple[tuple[int, float], ...] = ()
    """Step, and the sum of its losses."""
    scores: tuple[tuple[int, float], ...] = ()
    """Step, and the score on the held-out keyframes: strict mIoU where labels teach, else PSNR in dB."""
    score_name: str = "strict mIoU"
    can_go_back: bool = False
    """There is a model before the present one."""
    can_go_on: bool = False
    """The fine-tuned model was put away, and can be taken again."""


@dataclass(frozen=True)
class Status:
    """What a source is doing."""

    text: str
    """One line for people."""
    is_alive: bool = True
    """False: nothing answers; what is shown is the last that was heard."""
    revision: int = 0
    """Grows when views would look different: another model, other settings, a map that was begun anew."""


@runtime_checkable
class Source(Protocol):
    """Every method may be called from any thread, and returns soon, but for `render` and the ones that say so."""

    @property
    def title(self) -> str:
        """What is looked at."""

    @property
    def label_space(self) -> LabelSpace: ...

    @property
    def voxel_size(self) -> float:
        """Meters; 0 where it is not known."""

    def status(self) -> Status: ...

    def map_revision(self) -> int:
        """Changes whenever the map does."""

    def map(self) -> LabeledCloud: ...

    def keyframes(self) -> tuple[ShownKeyframe, ...]:
        """Oldest first. The same objects as long as nothing changes."""

    def picture(self, number: int) -> UInt8[Tensor, "height width 3"] | None:
        """A keyframe's picture; None if the source does not have it, or not yet."""

    def depth(self, number: int) -> Float[Tensor, "height width"] | None:
        """A keyframe's depth in meters, NaN where there is none; None without any."""

    def running_camera(self) -> Camera | None:
        """Where the camera that maps is now; None if no camera is running."""

    def render(
        self,
        camera: Camera,
        *,
        is_preview: bool = False,
        own: ShownKeyframe | None = None,
        canceled: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """What the camera would see: of its size, or smaller where `max_latency` asks for it. Blocks until it is done.

        `is_preview`: another one will follow; the quickest quality will do. `own`: a keyframe that is not to be
        rendered from, so that its picture can be compared with the view. `canceled` is asked meanwhile.
        Raises CanceledError, TooFewViewsError, NoViewsError, and whatever else hinders the render.
        """

    def settings(self) -> Settings: ...

    def change(self, settings: Settings) -> None:
        """Raises SrayError for what is refused."""

    def tuning(self) -> Tuning: ...

    def tune(self, steps: int, time_limit: float) -> None:
        """Begin fine-tuning: so many steps, or so many seconds. The better model takes over by itself.

        Raises SrayError if it cannot begin.
        """

    def stop_tuning(self) -> None:
        """Nothing changes then."""

    def use_model(self, which: Literal["before", "tuned"]) -> None:
        """Render with the model before the last fine-tuning, or with the tuned one. Blocks until it does.

        Raises SrayError if there is none.
        """

    def save_session(self, name: str) -> str:
        """Returns where it was saved, in words. Blocks. Raises SrayError."""

    def save_map(self, name: str) -> str:
        """As PLY; otherwise as `save_session`."""

    def close(self) -> None:
        """End what it has started."""


@dataclass
class TuningLog:
    """The curve of one fine-tuning, as it comes."""

    losses: list[tuple[int, float]] = field(default_factory=list)
    scores: list[tuple[int, float]] = field(default_factory=list)
    score_name: str = "strict mIoU"

    def add(self, step: int, losses: dict[str, float], miou: float, psnr: float) -> None:
        """`miou` and `psnr` of the held-out keyframes, NaN where not known; a value that did not change is no news."""
        if losses and (not self.losses or self.losses[-1][0] < step):
            self.losses.append((step, sum(losses.values())))
        self.score_name = "strict mIoU" if miou == miou else "PSNR (dB)"
        score = miou if miou == miou else psnr
        if score == score and (not self.scores or self.scores[-1][1] != score):
            self.scores.append((step, score))
