"""Checks of TF: whether the camera's pose in the map is known at the stamps of the pictures."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sray.recorded_bag import TF_STATIC, tf_name
from sray_train.tools.bags.rows import Row, listed, note, ok, percent, problem
from sray_train.tools.bags.stamped import ENOUGH, count

NORMALIZED = 1e-2
"""By which a squared quaternion's length may differ from 1: tf2 ignores what is further away."""
WAIT_NS = 200_000_000
"""The node's tf.timeout: so long after a picture its pose may come."""
LARGE_GAP = 0.5
"""Seconds between two transforms; a pose in between is a guess."""
MOST_EDGES = 10_000
"""Damaged messages may name ever new frames."""


@dataclass
class Edge:
    """The transforms of one child frame."""

    parents: Counter[str] = field(default_factory=Counter)
    is_static: bool = True
    stamps: array = field(default_factory=lambda: array("q"))
    times: array = field(default_factory=lambda: array("q"))
    """Of recording."""
    ignored: int = 0
    """NaN, or a quaternion that is none."""

    @property
    def parent(self) -> str:
        return self.parents.most_common(1)[0][0] if self.parents else ""

    def known_at(self, stamps: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a look-up for pictures of these stamps, recorded at these times, succeeds within the waiting time."""
        recorded = np.array(self.times, np.int64)
        order = np.argsort(recorded, kind="stable")
        recorded, own = recorded[order], np.array(self.stamps, np.int64)[order]
        heard = np.searchsorted(recorded, times + WAIT_NS, side="right")
        if self.is_static:
            return np.asarray(heard > 0)
        earliest, latest = np.minimum.accumulate(own), np.maximum.accumulate(own)
        last = (heard - 1).clip(0)
        return np.asarray((heard > 0) & (earliest[last] <= stamps) & (stamps <= latest[last]))

    def largest_gap(self, begin: int, end: int) -> float:
        """Seconds between neighbors, of those around the pictures."""
        own = np.unique(np.array(self.stamps, np.int64))
        first = max(0, int(np.searchsorted(own, begin, side="right")) - 1)
        inside = own[first : int(np.searchsorted(own, end)) + 1]
        return float(np.diff(inside).max(initial=0)) / 1e9


class Transforms:
    """All transforms of /tf and /tf_static, taken message by message."""

    def __init__(self) -> None:
        self.edges: dict[str, Edge] = {}
        self.frames: set[str] = set()
        """All that are named, in transforms that tf2 ignores too."""
        self.messages = {"/tf": 0, TF_STATIC: 0}

    def take(self, topic: str, time_ns: int, message: Any) -> None:
        self.messages[topic] += 1
        for stamped in message.transforms:
            child, parent = tf_name(str(stamped.child_frame_id)), tf_name(str(stamped.header.frame_id))
            if child not in self.edges and len(self.edges) >= MOST_EDGES:
                continue
            edge = self.edges.setdefault(child, Edge())
            self.frames |= {child, parent}
            if not _is_sound(stamped):
                edge.ignored += 1
                continue
            stamp = stamped.header.stamp
            count(edge.parents, parent)
            edge.is_static = edge.is_static and topic == TF_STATIC
            edge.stamps.append(int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec))
            edge.times.append(time_ns)

    def ancestors(self, frame: str) -> list[str]:
        """The frame and those above it, up to the root."""
        chain = [frame]
        while (edge := self.edges.get(chain[-1])) is not None and edge.parent and edge.parent not in chain:
            chain.append(edge.parent)
        return chain

    def path(self, a: str, b: str) -> list[str] | None:
        """The child frames of the edges between two frames; None: unconnected."""
        up, other = self.ancestors(a), self.ancestors(b)
        common = next((frame for frame in up if frame in other), None)
        if common is None:
            return None
        return up[: up.index(common)] + other[: other.index(common)]

    def trees(self) -> list[str]:
        """A sentence for each: root and frames."""
        found: dict[str, list[str]] = {}
        for child, edge in self.edges.items():
            if edge.parents:
                found.setdefault(self.ancestors(child)[-1], []).append(child)
        return [f"{listed([root])} (with {listed(sorted(children))})" for root, children in found.items()]

    def rows(
        self, map_frame: str, camera: str, stamps: NDArray[np.int64], times: NDArray[np.int64]
    ) -> tuple[list[Row], float]:
        """Rows, and the share of the pictures whose pose is known."""
        map_frame, camera = tf_name(map_frame), tf_name(camera)
        path = self.path(camera, map_frame)
        if path is None:
            trees = "; ".join(self.trees()[:6]) or "there are no transforms"
            remedy = (
                "record /tf and /tf_static with the bag, with whatever localizes the robot running; or name the frame "
                "poses are in with --map-frame"
            )
            text = f"no path from {listed([map_frame])} to {listed([camera])}: unconnected trees: {trees}"
            return [problem("TF: path", text, remedy), *self._soundness_rows(list(self.edges))], 0.0
        chain = " -> ".join(listed([frame]) for frame in reversed(self.ancestors(camera)))
        rows = [ok("TF: path", chain), *self._soundness_rows(path)]
        known = np.ones(len(stamps), bool)
        for child in path:
            known &= self.edges[child].known_at(stamps, times)
        share = float(known.mean()) if len(known) else 0.0
        if len(stamps):
            rows += self._coverage_rows(path, stamps, times, known)
        return rows, share

    def _coverage_rows(
        self, path: list[str], stamps: NDArray[np.int64], times: NDArray[np.int64], known: NDArray[np.bool_]
    ) -> list[Row]:
        share = float(known.mean())
        text = f"the pose is known for {percent(share)} of {len(stamps)} pictures"
        if share < 1:
            shares = {child: float(self.edges[child].known_at(stamps, times).mean()) for child in path}
            child = min(shares, key=lambda child: shares[child])
            text += f"; {listed([self.edges[child].parent])} -> {listed([child])} alone for {percent(shares[child])}"
            text += f", first missing at {stamps[np.flatnonzero(~known)[0]] / 1e9:.3f} s"
            remedy = (
                f"whatever publishes it must run as long as the camera, no later than {WAIT_NS / 1e9:g} s behind; or "
                "raise the node's tf.timeout"
            )
            rows = [(problem if share < ENOUGH else note)("TF: coverage", text, remedy)]
        else:
            rows = [ok("TF: coverage", text)]
        begin, end = int(stamps.min()), int(stamps.max())
        gaps = {child: self.edges[child].largest_gap(begin, end) for child in path if not self.edges[child].is_static}
        if gaps:
            child = max(gaps, key=lambda child: gaps[child])
            text = f"largest {gaps[child]:.3f} s, of {listed([self.edges[child].parent])} -> {listed([child])}"
            if gaps[child] > LARGE_GAP:
                rows.append(note("TF: gap", text, "poses in between are interpolated: a moving robot smears the map"))
            else:
                rows.append(ok("TF: gap", text))
        return rows

    def _soundness_rows(self, path: list[str]) -> list[Row]:
        rows: list[Row] = []
        for child in path[:20]:
            edge = self.edges[child]
            if edge.ignored:
                total = edge.ignored + len(edge.stamps)
                text = (
                    f"{edge.ignored} of {total} transforms of {listed([child])} are NaN or have a quaternion that is "
                    "not normalized: tf2 ignores them"
                )
                judged = problem if edge.ignored > ENOUGH * total else note
                rows.append(judged("TF: values", text, "normalize rotations where they are published"))
            if len(edge.parents) > 1:
                text = f"{listed([child])} has several parents: {listed(edge.parents)}"
                rows.append(problem("TF: parents", text, "two nodes publish it; keep one of them out of the bag"))
        return rows


def _is_sound(stamped: Any) -> bool:
    q, t = stamped.transform.rotation, stamped.transform.translation
    values = np.array([q.x, q.y, q.z, q.w, t.x, t.y, t.z], np.float64)
    if not np.isfinite(values).all() or not stamped.child_frame_id:
        return False
    with np.errstate(over="ignore"):
        return bool(abs((values[:4] ** 2).sum() - 1) <= NORMALIZED)
