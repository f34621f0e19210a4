"""Panel: what stands beside the picture in one browser, as tabs. Each tab is a small class in a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from viser import ClientHandle, Icon

from sray.errors import SrayError
from sray.viewing.pictures import scale_html
from sray.viewing.visitor import Shown, Visitor, notify

if TYPE_CHECKING:
    from sray.viewing.viewer import Viewer

HELP = (
    "**W A S D** fly, **Q E** sink and rise, drag to look around, wheel to step back. "
    "Click on the picture to ask what is there."
)
WHAT: dict[Shown, str] = {
    "overlay": "labels over color",
    "labels": "labels",
    "color": "color",
    "depth": "depth",
    "confidence": "confidence",
    "coverage": "coverage (views that see it)",
    "map": "the map, no picture",
}
"""How each kind of picture is called in the panel."""


class Panel:
    """All tabs of one browser."""

    def __init__(self, client: ClientHandle, viewer: Viewer) -> None:
        from sray.viewing.panel_keyframes import KeyframesTab
        from sray.viewing.panel_tools import LearnTab, SaveTab, SettingsFolder

        self._viewer = viewer
        self.visitor = Visitor(client, viewer.source, lambda: viewer.origin)
        self._is_placed = False
        tabs = client.gui.add_tab_group()
        with tabs.add_tab("View"):
            self._view = ViewTab(client, self.visitor, self._from_outside)
            self._settings = SettingsFolder(client, self.visitor)
        with tabs.add_tab("Classes"):
            self._classes = ClassesTab(client, self.visitor)
        with tabs.add_tab("Keyframes"):
            self._keyframes = KeyframesTab(client, self.visitor, viewer)
        with tabs.add_tab("Learn"):
            self._learn = LearnTab(client, viewer.source)
        with tabs.add_tab("Save"):
            self._save = SaveTab(client, self.visitor, viewer)
        self.visitor.on_change = self._view.refresh
        self.refresh({})

    def close(self) -> None:
        self.visitor.close()

    def refresh(self, counts: dict[int, int]) -> None:
        """Show what is new of the source. `counts`: voxels of each class."""
        if not self._is_placed and (camera := self._viewer.start_camera()) is not None:
            self._is_placed = True
            self.visitor.go_to(camera, self._viewer.up)
            self.visitor.look()
        self._view.refresh()
        self._classes.refresh(counts)
        self._keyframes.refresh()
        self._learn.refresh()
        self._settings.refresh()

    def _from_outside(self) -> None:
        """Show the map as from a corner above it, without what would hide it."""
        from sray.viewing.viewer import OVERHEAD

        names = self.visitor.source.label_space.names
        if OVERHEAD in names:
            self._classes.set(names.index(OVERHEAD), is_hidden=True)
        self.visitor.stand(*self._viewer.overview(), self._viewer.up)


class ViewTab:
    """Which picture, and what was clicked on."""

    def __init__(self, client: ClientHandle, visitor: Visitor, from_outside: Callable[[], None]) -> None:
        self._visitor = visitor
        gui = client.gui
        self._status = gui.add_markdown("")
        shown: Any = gui.add_dropdown("Show", tuple(WHAT.values()), initial_value=WHAT[visitor.shown])
        by: Any = gui.add_dropdown("Map by", ("class", "color"), initial_value="class")
        frustums = gui.add_checkbox("Keyframes", initial_value=True, hint="In the map")
        outside = gui.add_button("Look from outside")
        self._scale = gui.add_html("", visible=False)
        self._pointed = gui.add_markdown(HELP)
        names = {text: name for name, text in WHAT.items()}

        def on_shown(_: Any) -> None:
            visitor.show(names[shown.value])
            self.refresh()

        def on_map(_: Any) -> None:
            visitor.map_by, visitor.shows_keyframes = by.value, frustums.value
            visitor.arrange()

        def on_outside(_: Any) -> None:
            shown.value = WHAT["map"]
            visitor.show("map")
            from_outside()
            self.refresh()

        outside.on_click(on_outside)
        shown.on_update(on_shown)
        by.on_update(on_map)
        frustums.on_update(on_map)
        self._told = ("", "", "")

    def refresh(self) -> None:
        """Say what has changed, and no more: each word is sent to the browser."""
        visitor = self._visitor
        status = visitor.source.status()
        lines = [status.text if status.is_alive else f"**{status.text}**"]
        if visitor.complaint:
            lines.append(f"**No picture from here**, so the map is shown. {visitor.complaint}")
        scale = ""
        if visitor.ends is not None and visitor.shown != "map":
            scale = scale_html(visitor.shown, visitor.ends)
        told = ("  \n".join(lines), visitor.pointed or HELP, scale)
        if told == self._told:
            return
        self._told = told
        self._status.content, self._pointed.content = told[0], told[1]
        self._scale.content, self._scale.visible = scale, bool(scale)


class ClassesTab:
    """The legend: a button for each class in its color, which hides and shows it; how much of it the map has."""

    def __init__(self, client: ClientHandle, visitor: Visitor) -> None:
        self._visitor = visitor
        self._client = client
        self._buttons: dict[int, Any] = {}
        self._labels: dict[int, str] = {}
        client.gui.add_markdown("Click on a class to hide it, and again to show it. Areas are of the map's voxels.")
        all_of_them = client.gui.add_button_group("All", ("show", "hide"))
        all_of_them.on_click(lambda _: self._set_all(all_of_them.value == "hide"))
        self._folder = client.gui.add_folder(None)
        self._empty = client.gui.add_markdown("The map is empty.")

    def refresh(self, counts: dict[int, int]) -> None:
        space, size = self._visitor.source.label_space, self._visitor.source.voxel_size
        self._empty.visible = not counts
        for label in counts.keys() | self._buttons.keys():
            count = counts.get(label, 0)
            area = f", about {count * size * size:.1f} m²" if size else ""
            text = f"{space.names[label]}: {count:,} voxels{area}"
            if label not in self._buttons:
                with self._folder:
                    button = self._client.gui.add_button(
                        text, color=space.colors[label], icon=Icon.EYE, order=float(label)
                    )
                button.on_click(self._toggle(label))
                self._buttons[label] = button
                if label in self._visitor.hidden:
                    self.set(label, is_hidden=True)
            elif self._labels[label] != text:
                self._buttons[label].label = text
            self._labels[label] = text

    def _toggle(self, label: int) -> Callable[[Any], None]:
        return lambda _: self.set(label, is_hidden=label not in self._visitor.hidden)

    def _set_all(self, is_hidden: bool) -> None:
        for label in list(self._buttons):
            self.set(label, is_hidden=is_hidden)

    def set(self, label: int, *, is_hidden: bool) -> None:
        """Hide or show a class, and say so on its button."""
        self._visitor.hide(label, is_hidden)
        button = self._buttons.get(label)
        if button is None:  # the map has none of it yet
            return
        button.icon = Icon.EYE_OFF if is_hidden else Icon.EYE
        button.color = (225, 225, 225) if is_hidden else self._visitor.source.label_space.colors[label]


def reported(client: ClientHandle, title: str, action: Callable[[], str | None]) -> Callable[[Any], None]:
    """A callback that does something, and tells this browser what came of it or what was wrong."""

    def callback(_: Any) -> None:
        try:
            text = action()
        except SrayError as error:
            notify(client, title, str(error), is_error=True)
        except Exception as error:
            notify(client, title, f"a bug ({error!r}); please report it", is_error=True)
            raise
        else:
            if text:
                notify(client, title, text)

    return callback
