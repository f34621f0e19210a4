"""Runs all checks of one recording. A check comes after those whose results it uses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from sray.label_space import LabelSpace
from sray.sequence import Sequence
from sray_train.data.scene import Recording
from sray_train.tools.data_check.calibration_fit import check_calibration, fit_calibration
from sray_train.tools.data_check.camera_checks import Geometry, judge_cameras
from sray_train.tools.data_check.depth_checks import SAME_UNIT, check_depth, reprojection_error
from sray_train.tools.data_check.findings import Finding
from sray_train.tools.data_check.folder_checks import check_folder
from sray_train.tools.data_check.label_checks import LabelFigures, check_labels
from sray_train.tools.data_check.matches import find_pairs
from sray_train.tools.data_check.picture_checks import check_pictures
from sray_train.tools.data_check.readings import AS_STORED, K_AS_STORED
from sray_train.tools.data_check.sample import Sample
from sray_train.tools.data_check.trajectory import check_trajectory

Progress = Callable[[str, int, int], None]
"""What is being done, how far it is, and of how much."""


@dataclass(frozen=True)
class CheckResult:
    """What was found, and what the report shows."""

    name: str
    label_space: LabelSpace
    findings: list[Finding]
    figures: dict[str, float]
    """Measured along the way: errors in pixels of the sampled frames, meters, shares."""
    readings: dict[str, float]
    """Reading of poses and intrinsics -> its error in pixels; `as-stored` is the files' own."""
    labels: LabelFigures | None = None
    geometry: Geometry | None = None
    """None if no frame could be read."""

    @property
    def problems(self) -> int:
        return sum(finding.severity == "problem" for finding in self.findings)

    def record(self) -> dict[str, object]:
        """For machines."""
        return {
            "recording": self.name,
            "fine": not self.problems,
            "problems": self.problems,
            "warnings": len(self.findings) - self.problems,
            "findings": [asdict(finding) for finding in self.findings],
            "figures": self.figures,
            "readings_px": self.readings,
            "label_space": self.label_space.name,
            "labels": asdict(self.labels) if self.labels else None,
        }


def check_recording(
    recording: Recording,
    space: LabelSpace,
    frames: int = 32,
    known: Iterable[Finding] = (),
    on_progress: Progress = lambda what, done, of: None,
) -> CheckResult:
    """Check a sample of at least `frames` evenly spread frames; matching looks at their neighbors too.

    `known`: what was found already when the recording was opened.
    """
    sample = Sample(recording)
    findings = list(known)
    if isinstance(recording, Sequence):
        findings += check_folder(recording, lambda done, of: on_progress("files", done, of))
    chosen = sample.spread(frames)
    for done, position in enumerate(chosen, start=1):
        sample.frame(position)
        on_progress("pictures", done, len(chosen))
    pairs = find_pairs(sample, on_progress=lambda done, of: on_progress("matching", done, of))
    on_progress("judging", 0, 1)
    geometry, camera_findings, readings = judge_cameras(sample, pairs)
    fits = bool(readings) and not any(finding.code == "poses-do-not-fit" for finding in camera_findings)
    depth_findings, figures = check_depth(geometry, fits)
    # Depth that fits the poses shows that both are metric, or that neither is: the median depth has told which.
    related = "depth_factor" in figures
    depth_fits = related and not depth_findings and abs(math.log(figures["depth_factor"])) < SAME_UNIT
    path_findings, path_figures = check_trajectory(sample, metric=related)
    label_findings, labels = check_labels(geometry, space, depth_fits)
    on_progress("judging", 1, 1)
    figures |= path_figures
    if readings:
        figures |= {"pairs": float(len(pairs)), "noise_px": geometry.noise, "epipolar_px": readings["as-stored"]}
        stored = Geometry(sample, pairs)
        figures["reprojection_px"] = reprojection_error(stored, 1.0)
        # Only where the files are read right otherwise: a fit far from the truth finds anything.
        if fits and (geometry.poses, geometry.intrinsics) == (AS_STORED, K_AS_STORED):
            fit = fit_calibration(geometry)
            if fit is not None:
                figures |= fit.figures()
                camera_findings += check_calibration(fit, float(geometry.camera.intrinsics[0, 0]))
    findings += camera_findings + depth_findings + path_findings + check_pictures(sample) + label_findings
    findings.sort(key=lambda finding: finding.severity != "problem")  # stable: problems first
    return CheckResult(recording.name, space, findings, figures, readings, labels, geometry if sample.frames else None)
