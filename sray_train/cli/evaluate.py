"""`sray evaluate`: labels, color and depth of a checkpoint on scenes, or 2D labels on pictures, it never saw."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from sray.checkpoint import Checkpoint
from sray.field import SemanticField
from sray.label_space import LABEL_SPACES, LabelSpace
from sray.segmentation.between_spaces import projection, same_classes
from sray_train.cli.options import (
    CheckpointOptions,
    RecordOptions,
    RunOptions,
    SceneOptions,
    at_least,
    given,
    need_depth,
    no_sources,
)
from sray_train.data.config import DataConfig
from sray_train.data.labeled_pictures import FX_OVER_WIDTH, LabeledPictures
from sray_train.data.scene import Scene
from sray_train.learn.config import EvaluationConfig, Quality, TrainConfig, load_config
from sray_train.learn.systems import load_checkpoint
from sray_train.machine import chosen_device, use_threads
from sray_train.paper.baselines.picture_labels import NetworkLabels
from sray_train.paper.baselines.voxel_fusion import VoxelFusion, VoxelFusionConfig
from sray_train.records import refuse_existing, write_record
from sray_train.score.evaluate import Rendering, evaluate, spread_queries
from sray_train.score.image_quality import find_lpips
from sray_train.score.pictures import evaluate_pictures, taught_by
from sray_train.score.scores import Evaluation, PictureScores, Scoreboard
from sray_train.score.watch import Watch, say_result
from sray_train.tools.report.evaluation_page import write_evaluation_page
from sray_train.tools.report.evaluation_pictures import Gallery

OF_RENDERED_VIEWS = (
    "seeds", "sequence", "config", "height", "frames", "bounds", "targets", "views", "apart", "quality", "depth",
    "fuse_voxels", "match_exposure", "lpips", "report",
)  # fmt: skip
"""Options that single pictures (--pictures) have no use for."""


@dataclass
class Evaluate(RecordOptions, RunOptions, SceneOptions, CheckpointOptions):
    """Score a checkpoint: strict and released-code mIoU, accuracies, PSNR, SSIM, depth, on what it never saw."""

    config: Path | None = None
    """An experiment's YAML: its data.test scenes and its evaluation section."""
    pictures: Path | None = None
    """Single labeled pictures instead, for the 2D half: a folder with color/N.jpg, label40/N.png."""
    kept_out: bool = False
    """Of --pictures only every tenth, from the first: those that taught nothing where they were data.pictures."""
    fx_over_width: float = FX_OVER_WIDTH
    """Focal length over width of --pictures: 0.81 is NYU Depth v2's."""
    label_space: str | None = None
    """Score in this one, such as scannet20, summing classes that mean the same there."""
    targets: int | None = None
    """Pictures rendered a scene, at most. Without, here and below: as the config says, or 40."""
    views: int | None = None
    """Source views a picture."""
    apart: tuple[float, float] | None = None
    """Meters and degrees of source views from the picture, such as 0.5 20; without: nearest."""
    quality: Quality | None = None
    """Rays and samples spent on a picture: RenderConfig.preset."""
    depth: bool = False
    """RGB-D: the sources' depth guides the samples."""
    fuse_voxels: float | None = None
    """Instead of rendering fuse the sources' 2D labels into voxels of this edge, meters."""
    match_exposure: bool = True
    """Blend the source views' colors as they are, not brought to one exposure before."""
    lpips: bool = False
    """Fetch the weights of LPIPS if they are not on this machine."""
    json: Path = Path("results/evaluation.json")
    report: Path | None = None
    """Where a page with pictures goes, one HTML file."""

    def __post_init__(self) -> None:
        changed = [name for name in OF_RENDERED_VIEWS if getattr(self, name) != getattr(type(self), name)]
        if self.pictures and changed:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
            options = options.replace("--match-exposure", "--no-match-exposure")
            raise ValueError(f"{options} and --pictures are given; expected none that is of rendered views alone")
        if self.kept_out and not self.pictures:
            raise ValueError("--kept-out is given without --pictures; expected the folder that it takes every tenth of")
        if not 0.1 <= self.fx_over_width <= 10:
            raise ValueError(
                f"fx_over_width is {self.fx_over_width}; expected 0.1 (a fisheye) to 10 (a telephoto lens)"
            )
        if self.label_space is not None and self.label_space not in LABEL_SPACES:
            raise ValueError(f"label_space is {self.label_space!r}; expected one of {', '.join(LABEL_SPACES)}")
        if self.fuse_voxels is not None:
            VoxelFusionConfig(self.fuse_voxels)  # raises ValueError
        at_least(1, targets=self.targets, views=self.views)
        super().__post_init__()

    def main(self) -> None:
        began = time.monotonic()
        for path, option in ((self.json, "--json"), (self.report, "--report")):
            if path is not None:
                refuse_existing(path, option, overwrite=self.overwrite)
        use_threads(self.threads)
        checkpoint = load_checkpoint(self.checkpoint)
        space = LABEL_SPACES[self.label_space] if self.label_space else checkpoint.label_space
        table = None if same_classes(checkpoint.label_space, space) else projection(checkpoint.label_space, space)
        checkpoint.model.to(chosen_device(self.device))
        console = Console()
        if self.pictures is not None:
            network = NetworkLabels(checkpoint.model, table)
            taught = ", ".join(sorted(taught_by(checkpoint.lineage)))
            if taught and not self.kept_out:
                console.print(
                    f"warning: this checkpoint learned from pictures ({taught}). If these are among them, the scores "
                    "are not of unseen pictures; --kept-out scores every tenth, which taught nothing",
                    soft_wrap=True,
                    markup=False,
                )
            evaluation, record = self.score_pictures(console, self.pictures, network, space)
            gallery = None
        else:
            evaluation, record, gallery = self.score_scenes(console, checkpoint, space, table)
        record = evaluation.record() | record
        record |= {
            "semantics_missing": None if evaluation.labeled else "no pixel of the scored pictures has a label",
            "seconds": time.monotonic() - began,
            "label_space": space.name,
            "checkpoint_label_space": checkpoint.label_space.name,
            "checkpoint": checkpoint.sha256,
            "checkpoint_file": self.checkpoint,
        }
        write_record(self.json, record)
        say_result(console, evaluation, record)
        if self.report is not None and gallery is not None:
            write_evaluation_page(self.report, evaluation, gallery, record)
        print(f"see {self.json}{f' and {self.report}' if self.report else ''}")

    def score_pictures(
        self, console: Console, folder: Path, network: NetworkLabels, space: LabelSpace
    ) -> tuple[Evaluation, dict[str, Any]]:
        """2D labels of single pictures."""
        pictures = LabeledPictures.open(folder, space, self.label_ids, self.fx_over_width)
        pictures = pictures.kept_out() if self.kept_out else pictures
        with Watch(console, [pictures.folder.name] * len(pictures), "label and score") as watch:
            evaluation = evaluate_pictures(pictures, network, space, width=self.width or 0, on_picture=watch.see)
        return evaluation, {
            "lpips_missing": "single pictures have nothing to be rendered from",
            "input": "single pictures",
            "scored": f"{'every tenth of the ' if self.kept_out else ''}pictures of {folder}",
            "size": [self.width, None] if self.width else None,
            "config": {"fx_over_width": self.fx_over_width, "label_ids": self.label_ids, "kept_out": self.kept_out},
            "system": "2D labels",
            "voxel_size": None,
        }

    def score_scenes(
        self, console: Console, checkpoint: Checkpoint, space: LabelSpace, table: Tensor | None
    ) -> tuple[Evaluation, dict[str, Any], Gallery]:
        """Rendered views of rooms, of a recording, or of a config's test scenes."""
        data, plan = self.settings(space)
        lpips, no_lpips = find_lpips(download=self.lpips)
        scenes = self.scenes(data, space)
        if plan.depth:
            need_depth(scenes, "--depth" if self.depth else "evaluation.depth")
        queries = [query for scene in scenes for query in spread_queries(scene, plan.targets, plan.views, plan.apart)]
        if not queries:
            raise no_sources(scenes)
        field = SemanticField(checkpoint.model, replace(plan.render_config, match_exposure=self.match_exposure), table)
        renderer: SemanticField | VoxelFusion = field
        if self.fuse_voxels is not None:
            network = NetworkLabels(checkpoint.model, table)
            renderer = VoxelFusion(network, depth_from=field, config=VoxelFusionConfig(self.fuse_voxels))
        gallery = Gallery(space)

        def see(rendering: Rendering, scores: PictureScores, board: Scoreboard) -> None:
            watch.see(scores, board)
            if self.report is not None:
                gallery.see(rendering)

        with Watch(console, [query.scene.name for query in queries]) as watch:
            evaluation = evaluate(renderer, queries, space, depth=plan.depth, lpips=lpips, on_picture=see)
        record = {
            "lpips_missing": no_lpips or None,
            "input": "RGB-D" if plan.depth else "RGB",
            "scored": self._what(data, scenes),
            "size": [scenes[0].cameras.width, scenes[0].cameras.height],
            "config": {
                "data": asdict(data),
                "evaluation": asdict(plan),
                "render": {"match_exposure": self.match_exposure},
            },
            "system": checkpoint.model.system if self.fuse_voxels is None else VoxelFusion.system,
            "voxel_size": self.fuse_voxels,
        }
        return evaluation, record, gallery

    def settings(self, space: LabelSpace) -> tuple[DataConfig, EvaluationConfig]:
        """The config with this command's own options in place."""
        config = load_config(self.config) if self.config else TrainConfig()
        data, plan = config.data, config.evaluation
        if self.config is None and self.sequence:
            data = replace(data, frames=0)
        data = self.data(data, space if self.config is None or self.label_space else None)
        asked = given(targets=self.targets, views=self.views, apart=self.apart, quality=self.quality)
        return data, replace(plan, depth=plan.depth or self.depth, **asked)

    def _what(self, data: DataConfig, scenes: list[Scene]) -> str:
        if self.sequence:
            return f"recording {scenes[0].name}"
        if self.seeds:
            return f"rooms {' '.join(self.seeds)}"
        return f"{data.dataset} {data.test}"
