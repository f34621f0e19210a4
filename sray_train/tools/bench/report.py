"""A bench record as text."""

from __future__ import annotations

from typing import Any


def table(record: dict[str, Any]) -> str:
    """One line a renderer: seconds per 320x240 image, rays/s, peak memory, ratio, strict mIoU, PSNR, depth."""
    reference = record["reference"]
    lines = [
        f"{'':16}{'seconds':>9}{'rays/s':>10}{'peak MB':>9}{'ratio':>8}{'strict mIoU':>13}{'95 %':>15}{'PSNR dB':>9}"
        f"{'depth err':>11}{'in 1.25':>9}",
        _line("reference", reference | {"ratio": 1.0}),
        *(_line(name, level) for name, level in record["levels"].items()),
        "",
        f"seconds: a 320x240 image from {record['views']} source views of "
        f"{record['source_size'][0]}x{record['source_size'][1]}, their features encoded before; on {record['device']}, "
        f"{record['threads']} threads",
        f"reference: {reference['flops_per_ray']['total'] / 1e6:.1f} MFLOP a ray, {reference['matmul_share']:.3f} of "
        f"the {reference['matmul_gflops_per_second']:.0f} GFLOP/s that 2048x2048 products reach here",
        f"reference PSNR, colors divided by opacity as the levels' are: {reference['psnr_undarkened']:.2f} dB",
        f"scores: {record['pixels']} pixels of {record['pictures']} held-out views; *_depth: RGB-D sources, ratio to "
        "the RGB reference; depth err: mean of error over true depth, void pixels too; in 1.25: share within it",
    ]
    return "\n".join(lines)


def _line(name: str, entry: dict[str, Any]) -> str:
    low, high = entry["miou_interval"]
    return (
        f"{name:16}{entry['seconds']:9.2f}{entry['rays_per_second']:10.0f}{_number(entry.get('peak_mb'), '.0f'):>9}"
        f"{entry['ratio']:8.1f}{entry['strict_miou']:13.3f}{f'{low:.3f}-{high:.3f}':>15}{entry['psnr']:9.2f}"
        f"{entry['depth_abs_rel']:11.3f}{entry['depth_within_1_25']:9.3f}"
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
