"""`sray rooms`: make procedural rooms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from sray_train.data.rooms.contact_sheet import write_contact_sheet
from sray_train.data.rooms.generate import make_rooms
from sray_train.data.rooms.seeds import parse_seeds


@dataclass
class Rooms:
    """Make procedural rooms in ScanNet layout. Rooms that are in the cache already are kept."""

    seeds: str = "0:10"
    """Which rooms: one seed, or first:end without the end. 0:8000 training, 8000:9000 validation, 9000 up held out."""
    width: int = 320
    """Pixels."""
    height: int = 240
    """Pixels."""
    frames: int = 40
    """Frames a room, about 9 cm and 4 degrees apart."""
    workers: int = 2
    """Processes."""
    cache: Path | None = None
    """Where rooms go; default $SRAY_CACHE/rooms or ~/.cache/sray/rooms."""
    contact_sheet: Path | None = None
    """Also write a PNG with a few frames of each room, color above labels."""

    def __post_init__(self) -> None:
        parse_seeds(self.seeds)

    def main(self) -> None:
        seeds = parse_seeds(self.seeds)
        torch.set_num_threads(1)  # rooms are made side by side; threads within one would only compete
        with tqdm(total=len(seeds), unit="room") as bar:
            folders = make_rooms(
                seeds,
                width=self.width,
                height=self.height,
                frames=self.frames,
                cache=self.cache,
                workers=self.workers,
                on_progress=lambda done, _: bar.update(done - bar.n),
            )
        if self.contact_sheet:
            write_contact_sheet(folders, self.contact_sheet)
            print(f"contact sheet: {self.contact_sheet}")
        print(f"{len(folders)} rooms in {folders[0].parent}, the first is {folders[0]}")
