"""`sray figures`: the paper's figures on held-out scenes, from checkpoints, on one page."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.errors import FileError, RequestError
from sray.label_space import LABEL_SPACES
from sray.model import SemanticRay
from sray.view_selection import evenly_spread
from sray_train.cli.options import CheckpointOptions, ThreadOptions
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.config import DataConfig
from sray_train.data.rooms import parse_seeds
from sray_train.data.scene import Scene
from sray_train.data.view_split import split_views
from sray_train.learn.config import Quality, load_config
from sray_train.machine import use_threads
from sray_train.paper.figures.comparison import Gallery
from sray_train.paper.figures.comparison_sections import comparison_sections, shown_classes
from sray_train.paper.figures.contenders import S_RAY, Gap, StudyFolder
from sray_train.paper.figures.inner_sections import inner_sections
from sray_train.paper.figures.page import PAGE, PictureFolder, write_figures_page
from sray_train.paper.study.commit import present_commit
from sray_train.records import refuse_existing, write_record
from sray_train.score.evaluate import Query, split_queries

ROOMS = ("9000", "9001")


@dataclass
class Figures(ThreadOptions, CheckpointOptions):
    """Draw Figures 1 and 4 to 9 of the paper from checkpoints: a page, its PNGs, and its numbers as figures.json.

    A contender without a checkpoint is named on the page, with the command that makes it.
    """

    run_folder: Path = Path("results/studies/rooms")
    """Where `sray study` kept the contenders of Figures 1, 4, 5, 8 and 9."""
    study: Path = Path("config/studies/rooms.yaml")
    """The study they are of, for the commands that make what is missing."""
    seed: int = 0
    """Which of the study's trainings."""
    checkpoint: Path = Path("test/trained/resunet_rooms.safetensors")
    """A SemanticRay, whose attention and view weights Figures 6 and 7 show."""
    config: Path | None = None
    """An experiment's YAML, whose data section says where scenes are. Without: what the study's S-Ray learned from, or
    else the checkpoint."""
    scenes: tuple[str, ...] = ()
    """Held-out scenes: rooms by their seeds (9000 9001 without), else names as in data.test (its first two without)."""
    pictures: int = 1
    """Of each scene, of the 4 frames that fine-tuning never saw."""
    quality: Quality = "balanced"
    """Rays and samples spent on a picture: RenderConfig.preset."""
    output: Path = Path("out/figures")
    """A folder: index.html, figures.json, pictures/. An existing page is kept unless --overwrite."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.pictures <= 4:
            raise ValueError(f"pictures is {self.pictures}; expected 1 to 4, of each scene's test frames")
        super().__post_init__()

    def main(self) -> None:
        refuse_existing(self.output / PAGE, "--output", overwrite=self.overwrite)
        use_threads(self.threads)
        checkpoint: Checkpoint[SemanticRay] = load_checkpoint(self.checkpoint)
        space = checkpoint.label_space
        scenes = self.chosen(self.data(checkpoint), space)
        queries = [query for scene in scenes for query in shown_queries(scene, self.pictures)]
        folder = PictureFolder(self.output)
        console = Console(highlight=False, soft_wrap=True)
        with console.status("attention and view weights"):
            inner, numbers = inner_sections(checkpoint.model, queries, folder)
        gallery = Gallery(StudyFolder(self.run_folder, self.seed, self.study), space, self.quality)
        with console.status("contenders"):
            compared, scores = comparison_sections(gallery, queries, folder)
        facts = {
            "attention and view weights of": f"{self.checkpoint} ({checkpoint.id})",
            "contenders of": f"{self.run_folder}, seed {self.seed}",
            "pictures": f"{scenes[0].cameras.width}x{scenes[0].cameras.height}, quality {self.quality}, RGB",
            "frames": "8 sources; fine-tuning and learning by heart have those and 8 more; shown are others",
            "commit": present_commit(),
        }
        page = write_figures_page(
            self.output,
            [*compared[:2], *inner, *compared[2:]],  # as the paper numbers them
            shown_classes(gallery, queries),
            facts,
            [scene.name for scene in scenes],
        )
        write_record(self.output / "figures.json", {"facts": facts, "scores": scores} | numbers)
        print(f"see {page}")

    def data(self, checkpoint: Checkpoint[SemanticRay]) -> DataConfig:
        """Where scenes are and how they are read: the config's, or what the study's S-Ray, or the checkpoint, knows."""
        if self.config is not None:
            return load_config(self.config).data
        of_study = StudyFolder(self.run_folder, self.seed, self.study).load(S_RAY, "", "", checkpoint.label_space)
        if isinstance(of_study, Gap):
            return _learned_from(checkpoint, self.checkpoint)
        return _learned_from(of_study, S_RAY.checkpoint(self.run_folder, self.seed, ""))

    def chosen(self, data: DataConfig, space: Any) -> list[Scene]:
        """The scenes that are shown."""
        if data.dataset == "rooms":
            seeds = self.scenes or ROOMS
            try:
                parse_seeds(" ".join(seeds))
            except ValueError as error:
                raise RequestError(f"--scenes: {error}") from error
            return chosen_scenes(data, space, seeds=seeds)
        if self.scenes:
            return chosen_scenes(replace(data, test=",".join(self.scenes)), space)
        return chosen_scenes(data, space)[:2]


def shown_queries(scene: Scene, count: int) -> list[Query]:
    """So many of the test frames of the scene's split, spread evenly, each from the split's sources."""
    split = split_views(scene)
    queries = split_queries(scene, split)
    return [queries[position] for position in evenly_spread(count, len(queries))]


def _learned_from(checkpoint: Checkpoint[Any], path: Path) -> DataConfig:
    """The data section of the config in a checkpoint's lineage; rooms where it says none.

    Raises FileError if it is none.
    """
    config = checkpoint.lineage.get("config")
    said = config.get("data") if isinstance(config, dict) else None
    if said is None:
        name = checkpoint.label_space.name
        return DataConfig(label_space=name) if name in LABEL_SPACES else DataConfig()
    try:
        known = {each.name for each in fields(DataConfig)}
        return DataConfig(**{name: value for name, value in dict(said).items() if name in known})
    except (TypeError, ValueError) as error:
        raise FileError(f"{path} says it learned from data that is none ({error})", remedy="Pass --config") from error
