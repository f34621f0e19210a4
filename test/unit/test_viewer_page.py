"""The viewer in a real browser: what stands on the page, what its controls do, and what happens when browsers go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, Page, browsing
from viewer_fixtures import FRAMES, KEPT, colors_in, difference, needs_chromium, needs_viser, room_source, scene_of

from sray.errors import BusyError, SrayError
from sray.viewing.local_source import LocalSource
from sray.viewing.pictures import OUTPUTS

pytestmark = [needs_chromium, needs_viser, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSource]:
    made = room_source(tmp_path_factory.mktemp("view"))
    made.finish()
    yield made
    made.close()


@pytest.fixture(scope="module")
def viewer(source: LocalSource) -> Iterator[Any]:
    from sray.viewing.viewer import Viewer

    with Viewer(source, port=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(browser: Browser, viewer: Any) -> Page:
    """The one that the tests go on with, in their order."""
    opened = browser.page(viewer.address)
    opened.until(lambda: viewer.visitors, "the browser to connect")
    viewer.visitors[0].visitor.rows = 96  # WebGL in software leaves little of a small machine
    return opened


def painted(page: Page, viewer: Any, since: int) -> None:
    """Wait for a full picture more than there were, and for the browser to draw it."""
    visitor = viewer.visitors[0].visitor
    page.until(lambda: len(visitor.painter.latency.full) > since, "a full picture")
    time.sleep(1.0)


def full_pictures(viewer: Any) -> int:
    return len(viewer.visitors[0].visitor.painter.latency.full)


def choose(page: Page, before: str, after: str) -> None:
    """Another entry of the list that stands at `before`."""
    page.until(lambda: page.reads(before), before)
    time.sleep(0.5)  # what is still unfolding would be clicked beside
    for _ in range(5):
        page.click(before)
        time.sleep(0.5)
        if page.reads(after):
            break
    page.click(after)


def test_the_page_shows_a_picture_of_the_room_without_a_complaint(page: Page, viewer: Any) -> None:
    painted(page, viewer, 0)
    page.until(lambda: colors_in(page.picture(KEPT / "1_overlay.png")) > 10, "a picture of more than one color")
    assert "room 9000" in page.text and f"{FRAMES} of {FRAMES}" in page.text
    assert not page.complaints


def test_looking_elsewhere_changes_the_picture(page: Page, viewer: Any) -> None:
    before, count = page.picture(), full_pictures(viewer)
    page.drag((400, 500), (520, 500))
    painted(page, viewer, count)
    assert difference(before, page.picture(KEPT / "2_turned.png")) > 5
    latency = viewer.visitors[0].visitor.painter.latency
    assert len(latency.preview) > len(latency.full) - 1, "small pictures came first"


def test_each_kind_of_picture_differs_and_tells_its_scale(page: Page, viewer: Any) -> None:
    from sray.viewing.panel import WHAT

    shown, pictures = "overlay", {}
    for output in OUTPUTS:
        if output != shown:
            choose(page, WHAT[shown], WHAT[output])
            time.sleep(1.5)
        shown = output
        pictures[output] = page.picture(KEPT / f"3_{output}.png")
        assert (" m" in page.text.split("Settings")[-1] or " m\n" in page.text) or output != "depth"
    kinds = list(pictures)
    for index, one in enumerate(kinds):
        for other in kinds[index + 1 :]:
            assert difference(pictures[one], pictures[other]) > 3, f"{one} and {other} look alike"
    choose(page, WHAT["coverage"], WHAT["labels"])
    time.sleep(1.0)


def test_a_click_says_what_is_there(page: Page, viewer: Any) -> None:
    page.click_at(450, 450)
    page.until(lambda: "probability" in page.text, "what was clicked on")
    page.picture(KEPT / "4_pointed.png")
    words = viewer.visitors[0].visitor.pointed
    assert any(f"**{name}**" in words for name in viewer.source.label_space.names)
    assert "m away" in words and "keyframes" in words


def test_a_hidden_class_has_no_color_until_it_is_shown_again(page: Page, viewer: Any) -> None:
    visitor, space = viewer.visitors[0].visitor, viewer.source.label_space
    labels = visitor._answer.view.labels.numpy()
    commonest = int(np.bincount(labels[labels != 255]).argmax())
    name = space.names[commonest]
    page.click("Classes")
    time.sleep(0.5)
    (entry,) = (line for line in page.text.splitlines() if line.startswith(f"{name}: "))
    assert f"{viewer.counts[commonest]:,} voxels" in entry and "m²" in entry
    before = page.picture(KEPT / "5_classes.png")
    page.click(entry)
    page.until(lambda: visitor.hidden == {commonest}, "the class to be hidden")
    time.sleep(1.0)
    assert has_color(before, space.colors[commonest])
    assert not has_color(page.picture(KEPT / "6_hidden.png"), space.colors[commonest])
    page.click(entry)
    page.until(lambda: not visitor.hidden, "the class to be shown")
    time.sleep(1.0)
    assert has_color(page.picture(), space.colors[commonest])


def has_color(picture: Any, color: tuple[int, int, int]) -> bool:
    """Whether much of the scene has it, give or take what JPEG does."""
    return bool((np.abs(scene_of(picture) - color).max(-1) < 12).mean() > 0.02)


def test_the_map_and_the_keyframes_are_seen_from_outside(page: Page, viewer: Any) -> None:
    page.click("View")
    time.sleep(0.5)
    page.click("Look from outside")
    page.until(lambda: viewer.visitors[0].visitor.shown == "map", "the map")
    time.sleep(3.0)
    by_class = page.picture(KEPT / "7_map_by_class.png")
    assert colors_in(by_class) > 6, "the map is one color"
    choose(page, "class", "color")
    time.sleep(3.0)
    by_color = page.picture(KEPT / "8_map_by_color.png")
    assert difference(by_class, by_color) > 2
    choose(page, "color", "class")


def test_a_keyframe_is_gone_to_and_compared_with_its_rendering(page: Page, viewer: Any) -> None:
    from sray.viewing.panel import WHAT

    choose(page, WHAT["map"], WHAT["overlay"])
    page.click("Keyframes")
    time.sleep(0.5)
    count = full_pictures(viewer)
    page.click("Go there")
    painted(page, viewer, count)
    page.click("Compare picture and rendering")
    page.until(lambda: "Rendered from keyframes" in page.text, "the comparison")
    time.sleep(1.0)
    page.picture(KEPT / "9_compared.png")
    assert "without 0 itself" in page.text
    camera = viewer.source.keyframes()[0].camera
    visitor = viewer.visitors[0].visitor
    np.testing.assert_allclose(visitor.viewpoint().pose[:3, 3], camera.center.numpy(), atol=0.02)


def test_settings_and_saving(page: Page, viewer: Any, source: LocalSource) -> None:
    page.click("Save")
    time.sleep(0.5)
    page.click("Save session")
    page.until(lambda: f"{FRAMES} keyframes and the map in" in page.text, "the session to be saved")
    page.picture(KEPT / "10_save.png")
    assert (source._folder / "session.safetensors").is_file()
    page.click("View")
    time.sleep(0.5)
    page.click("Settings")
    page.until(lambda: "From the camera" in page.text, "the settings")
    count = full_pictures(viewer)
    choose(page, "balanced", "fast")
    page.until(lambda: source.settings().quality == "fast", "the quality to change")
    painted(page, viewer, count)
    page.picture(KEPT / "11_settings.png")


def test_fine_tuning_shows_its_curve_and_can_be_stopped(page: Page, source: LocalSource) -> None:
    page.click("Learn")
    time.sleep(0.5)
    page.click("Start fine-tuning")
    page.until(lambda: "running: step" in page.text and len(source.tuning().losses) > 3, "the first steps", 300)
    time.sleep(1.5)
    page.picture(KEPT / "12_learning.png")
    assert page.evaluate("document.querySelectorAll('.uplot canvas').length") >= 1, "the curve"
    page.click("Stop")
    page.until(lambda: "stopped: nothing has changed" in page.text, "the end", 120)
    assert not page.complaints


def test_two_browsers_and_one_is_killed_while_its_picture_is_rendered(page: Page, viewer: Any) -> None:
    """The other one goes on, and nothing of the one that went is left."""
    with browsing() as second:
        guest = second.page(viewer.address)
        guest.until(lambda: len(viewer.visitors) == 2, "the second browser")
        panel = viewer.visitors[1]
        guest.until(lambda: panel.visitor.painter.latency.preview, "its first picture")
        assert panel.visitor.hidden == set() and viewer.visitors[0].visitor is not panel.visitor
        begun = []
        render = panel.visitor.painter._render
        panel.visitor.painter._render = lambda *asked: (begun.append(time.monotonic()), render(*asked))[1]
        panel.visitor.rows = 2000  # minutes
        panel.visitor.look()
        page.until(lambda: len(begun) >= 2, "the full picture to begin")
        second.kill()
        page.until(lambda: len(viewer.visitors) == 1, "the viewer to know that it has gone")
    page.until(lambda: not panel.visitor.painter._thread.is_alive(), "its render to be canceled", 30)
    count = full_pictures(viewer)
    page.drag((400, 500), (430, 500))
    painted(page, viewer, count)
    assert not page.complaints


def test_a_second_viewer_at_the_same_port_is_refused(viewer: Any, source: LocalSource) -> None:
    from sray.viewing.viewer import Viewer

    port = int(viewer.address.rsplit(":", 1)[1])
    with pytest.raises(SrayError, match=f"port {port} of 127.0.0.1 is taken") as refusal:
        Viewer(source, port=port)
    assert isinstance(refusal.value, BusyError)


def test_the_exported_page_opens_without_a_server(browser: Browser, viewer: Any, tmp_path: Path) -> None:
    from sray.viewing.export import write_page

    write_page(viewer, tmp_path / "scene.html")
    opened = browser.page((tmp_path / "scene.html").as_uri())
    opened.until(lambda: "voxels by class" in opened.text, "the legend")
    time.sleep(5.0)
    picture = opened.picture(KEPT / "13_exported.png")
    assert colors_in(picture) > 6
    assert not opened.complaints


def test_a_map_grows_while_it_is_looked_at(browser: Browser, tmp_path: Path) -> None:
    from sray.viewing.viewer import Viewer

    goes_on = threading.Event()
    growing = room_source(tmp_path, 12, goes_on)
    try:
        with Viewer(growing, port=0) as viewer:
            opened = browser.page(viewer.address)
            opened.until(lambda: viewer.visitors and "frame 6 of 12" in opened.text, "half of the frames")
            opened.until(lambda: sum(viewer.counts.values()) == len(growing.map()) > 0, "half of the map")
            half = sum(viewer.counts.values())
            goes_on.set()
            opened.until(lambda: "frame 12 of 12" in opened.text, "all frames")
            opened.until(lambda: sum(viewer.counts.values()) == len(growing.map()) > half, "all of the map")
            assert not opened.complaints
    finally:
        goes_on.set()
        growing.close()
