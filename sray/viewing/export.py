"""The map as one HTML page: it opens without a server, and can be sent to somebody who has nothing of this project."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from sray.files import write_atomically

if TYPE_CHECKING:
    from sray.viewing.viewer import Viewer


def scene_page(viewer: Viewer) -> str:
    """Map by class, keyframes, path, and what the colors mean. Only the 3D scene: nothing can be rendered in it."""
    source = viewer.source
    space = source.label_space
    page = viewer.html()
    rows = "".join(
        f'<div><i style="display:inline-block;width:1em;height:1em;border-radius:3px;margin-right:.5em;'
        f'vertical-align:-.15em;background:rgb{space.colors[label]}"></i>{html.escape(space.names[label])}'
        f' <span style="color:#777">{count:,}</span></div>'
        for label, count in sorted(viewer.counts.items(), key=lambda pair: -pair[1])
    )
    title = html.escape(source.title)
    legend = (
        '<div style="position:fixed;left:1em;top:1em;z-index:1000;font:13px/1.6 sans-serif;background:#ffffffe6;'
        'padding:.8em 1em;border-radius:8px;box-shadow:0 1px 4px #0003;max-height:90vh;overflow:auto">'
        f'<b>{title}</b><div style="color:#777">voxels by class</div>{rows}</div>'
    )
    page = page.replace("<title>Viser</title>", f"<title>{title}</title>", 1)
    head, _, rest = page.rpartition("</body>")
    return f"{head}{legend}</body>{rest}"


def write_page(viewer: Viewer, path: Path) -> None:
    """The file appears whole or not at all. Raises FileError."""
    write_atomically(path, scene_page(viewer).encode())
