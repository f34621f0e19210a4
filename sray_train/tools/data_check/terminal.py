"""A check's result on the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sray_train.tools.data_check.check import CheckResult

_COLORS = {"problem": "bold red", "warning": "yellow"}


def show(result: CheckResult, console: Console) -> None:
    """One row a finding, problems first, then one line of figures and one of the verdict."""
    if result.findings:
        table = Table(title=escape(result.name), title_justify="left", show_header=False, show_lines=True)
        table.add_column(min_width=20, overflow="fold")
        table.add_column(ratio=1, overflow="fold")
        for finding in result.findings:
            text = (
                f"[bold]{escape(finding.what)}[/]\n{escape(finding.evidence)}\n"
                f"[dim]cause:[/]  {escape(finding.cause)}\n[dim]remedy:[/] {escape(finding.remedy)}"
            )
            table.add_row(f"[{_COLORS[finding.severity]}]{finding.severity}[/]\n{finding.code}", text)
        console.print(table)
    console.print(escape(figures_line(result)), style="dim", highlight=False)
    warnings = len(result.findings) - result.problems
    style = "bold red" if result.problems else "bold green"
    console.print(
        f"{verdict(result)} [dim]{_count(result.problems, 'problem')}, {_count(warnings, 'warning')}[/]", style=style
    )


def verdict(result: CheckResult) -> str:
    """In one sentence."""
    if result.problems:
        return "Not fit to train on as it is."
    return "Fine." if not result.findings else "Fine, but see the warnings."


def _fitted(figures: dict[str, float]) -> str:
    """The calibration that fits the pictures best, relative to the stored one."""
    parts = [
        f"focal length x {figures['fitted_focal_factor']:.3f} +- {figures['fitted_focal_error']:.3f}",
        f"principal point by ({figures['fitted_principal_shift_x_px']:+.1f}, "
        f"{figures['fitted_principal_shift_y_px']:+.1f}) px",
    ]
    if math.isfinite(figures["fitted_depth_factor"]):
        parts.append(f"depth x {figures['fitted_depth_factor']:.3f}")
    if math.isfinite(figures["fitted_frames_late"]):
        parts.append(f"poses {figures['fitted_frames_late']:+.2f} frames later")
    change = f"{figures['fitted_stored_px']:.2f} to {figures['fitted_px']:.2f} px"
    return f"the pictures fit best with {', '.join(parts)} ({change})"


def figures_line(result: CheckResult) -> str:
    """The figures worth knowing of a healthy recording too."""
    figures = result.figures
    parts = []
    if "frames" in figures:
        parts.append(f"{figures['frames']:.0f} frames over {figures['extent_m']:.2f} m")
    if "epipolar_px" in figures:
        parts.append(
            f"matches miss their epipolar rays by {figures['epipolar_px']:.2f} px (noise {figures['noise_px']:.2f} px)"
        )
    if figures.get("reprojection_px", float("nan")) == figures.get("reprojection_px"):
        parts.append(f"reprojection by depth {figures['reprojection_px']:.2f} px")
    if "fitted_focal_factor" in figures:
        parts.append(_fitted(figures))
    if "depth_median_m" in figures:
        parts.append(f"depth median {figures['depth_median_m']:.2f} m, known for {100 * figures['depth_known']:.0f} %")
    if result.labels:
        parts.append(f"labels {100 * (1 - result.labels.void):.0f} % of the pixels")
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
