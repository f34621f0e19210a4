"""Training a DeepLabV3+ with MobileNetV2 from scratch, in a folder that a later run goes on from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import MobileNetV2Config, MobileNetV2ForSemanticSegmentation, MobileNetV2ImageProcessorPil

from sray.errors import ModelError
from sray.label_space import ROOMS, VOID
from sray.learning.supervision import balanced_weights
from sray.metrics import ConfusionMatrix, Scores
from sray_train.learn.segmenter.pictures import RoomPictures
from sray_train.learn.training.state import load_state, restore_optimizer, save_state
from sray_train.records import write_record

BALANCE_PICTURES = 500
"""Pictures that say how frequent classes are."""
NORM_MOMENTUM = 0.02
"""How fast norms follow the data. The library's layers take 0.997, which keeps the last batch's statistics only."""
WARM_UP = 100
"""Steps over which the learning rate rises, of a long run; a tenth of a short one's."""
MEAN = STD = 0.5
"""Of each color, as MobileNetV2's own weights expect it."""


@dataclass(frozen=True)
class SegmenterTraining:
    """What is learned; a run that is resumed must have the same."""

    seeds: str = "0:1000"
    """Rooms to learn from."""
    width: int = 160
    height: int = 120
    frames: int = 24
    """Of each room."""
    depth_multiplier: float = 0.5
    """Channels, as a share of MobileNetV2's."""
    output_stride: int = 8
    """Pixels a cell of the features: 8, 16 or 32. Rooms have thin things, and the pictures are small."""
    steps: int = 2600
    batch: int = 8
    """Pictures a step."""
    learning_rate: float = 2e-3
    """At its highest, after the first steps; it falls to nothing along a cosine."""
    weight_decay: float = 1e-2
    balance: float = 0.3
    """0: all pixels alike; 1: all classes alike."""
    seed: int = 0


class SegmenterTrainer:
    """Model, optimizer and where the run stands."""

    def __init__(self, config: SegmenterTraining, folder: Path, pictures: RoomPictures) -> None:
        """Goes on with the run in `folder` if there is one.

        Raises ModelError if that run had other settings, FileError if it cannot be read.
        """
        self.config, self.folder = config, folder
        self._pictures = pictures
        torch.manual_seed(config.seed)
        self.model: nn.Module = build_model(config)
        self.step, self.seconds = 0, 0.0
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        sample = range(0, len(pictures), max(1, len(pictures) // BALANCE_PICTURES))
        self._class_weights = balanced_weights([pictures[index] for index in sample], ROOMS.classes, config.balance)
        if self.state_file.exists():
            progress, moments = load_state(self.state_file, self.model, self._refuse_another_run)
            restore_optimizer(self._optimizer, moments)
            self.step, self.seconds = progress["step"], progress["seconds"]

    @property
    def state_file(self) -> Path:
        return self.folder / "state.safetensors"

    def _refuse_another_run(self, progress: dict[str, Any]) -> None:
        if progress["config"] != asdict(self.config):
            raise ModelError(
                f"{self.folder} holds a run with {progress['config']}, this one has {asdict(self.config)}",
                remedy="Set it back, or give this run another --run-folder",
            )

    def run(
        self,
        max_seconds: float = math.inf,
        *,
        on_step: Callable[[int, float], None] = lambda step, loss: None,
        stopped: Callable[[], bool] = lambda: False,
        save_every: float = 60.0,
    ) -> bool:
        """Train until done (True), until the time is up, or until `stopped` says so (False). Saved either way."""
        self.model.train()
        started = saved = time.monotonic()
        while self.step < self.config.steps:
            on_step(self.step + 1, self._take_step())
            self.step += 1
            now = time.monotonic()
            self.seconds, since = self.seconds + now - started, started
            started = now
            max_seconds -= now - since
            if max_seconds < 0 or stopped():
                break
            if now - saved > save_every:
                self.save()
                saved = now
        self.save()
        return self.step == self.config.steps

    def save(self) -> None:
        """All that a later run needs."""
        progress = {"config": asdict(self.config), "step": self.step, "seconds": self.seconds}
        save_state(self.state_file, self.model, self._optimizer, progress)

    def _take_step(self) -> float:
        # One seed a step: a resumed run draws what the run would have drawn.
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)  # dropout takes the global one
        images, labels = self._pictures.batch(self.config.batch, generator)
        warm = min(1.0, (self.step + 1) / min(WARM_UP, max(1, self.config.steps // 10)))
        rate = self.config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * self.step / self.config.steps))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(normalized(images)).logits
        logits = F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=False)
        loss = F.cross_entropy(logits, labels.long(), weight=self._class_weights, ignore_index=VOID)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self._optimizer.step()
        return loss.item()

    @torch.inference_mode()
    def validate(self, pictures: RoomPictures, every: int = 4) -> Scores:
        """Strict scores of every so-many-th picture."""
        self.model.eval()
        matrix = ConfusionMatrix(ROOMS.classes)
        for index in range(0, len(pictures), every):
            frame = pictures[index]
            logits = self.model(normalized(frame.image.permute(2, 0, 1)[None].float() / 255)).logits
            logits = F.interpolate(logits, frame.image.shape[:2], mode="bilinear", align_corners=False)
            if frame.labels is not None:
                matrix.update(logits[0].argmax(0).to(torch.uint8), frame.labels)
        self.model.train()
        return matrix.strict()

    def export(self, folder: Path, record: dict[str, Any]) -> None:
        """A folder that `transformers` loads: config, weights as safetensors, and how pictures are prepared."""
        self.model.eval()
        self.model.save_pretrained(folder)  # type: ignore[operator]
        image_processor(self.config.height).save_pretrained(folder)
        write_record(folder / "training.json", {**asdict(self.config), "seconds": self.seconds, **record})


def build_model(config: SegmenterTraining) -> MobileNetV2ForSemanticSegmentation:
    """The network, untrained, with the rooms' names of classes."""
    model = MobileNetV2ForSemanticSegmentation(
        MobileNetV2Config(
            depth_multiplier=config.depth_multiplier,
            output_stride=config.output_stride,
            classifier_dropout_prob=0.1,
            semantic_loss_ignore_index=VOID,
            id2label=dict(enumerate(ROOMS.names)),
            label2id={name: index for index, name in enumerate(ROOMS.names)},
        )
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = NORM_MOMENTUM
    return model


def image_processor(height: int) -> MobileNetV2ImageProcessorPil:
    """Pictures as in training: of that height, whatever they come as."""
    return MobileNetV2ImageProcessorPil(
        size={"shortest_edge": height}, do_center_crop=False, image_mean=[MEAN] * 3, image_std=[STD] * 3
    )


def normalized(images: Float[Tensor, "pictures 3 height width"]) -> Float[Tensor, "pictures 3 height width"]:
    """Colors of 0..1 as the network takes them."""
    return ((images - MEAN) / STD).contiguous(memory_format=torch.channels_last)  # a seventh faster on a CPU
