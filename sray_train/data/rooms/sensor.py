"""The imaginary camera: from linear light to the pictures that a cheap color camera gives while it is carried along.

Exposure follows the light with some delay, white balance wanders, the shutter is open for a while, the sensor is noisy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sray.camera import Camera

Rng = np.random.Generator
SLOWEST = 4
"""Frames the automatic exposure may lag behind."""
LONGEST_BLUR = 4.0
"""Pixels (of a picture 320 wide) that the longest exposure smears over."""


@dataclass(frozen=True)
class Development:
    """How linear light becomes a picture. All of it but the gain and balance stays the same for a room."""

    gain: float
    balance: tuple[float, float, float]
    """White balance, RGB factors."""
    vignette: float
    """Loss of light in the corners, 0..1."""
    contrast: float
    """Exponent on the developed picture: above 1 is harder."""
    saturation: float
    softness: float
    """Standard deviation of the lens blur, in pixels of a picture 320 wide."""
    noise: float
    """Standard deviation of the noise at mid gray, in 0..1; it falls with the square root of the light."""
    grain: float
    """Share of the noise that neighboring pixels have in common."""


def exposures(brightness: list[NDArray[np.float32]], rng: Rng) -> list[Development]:
    """A development for each frame of a path, from what a light meter sees in each."""
    everything = np.concatenate(brightness)
    middle = max(float(np.quantile(everything, 0.5)), 0.35 * float(np.quantile(everything, 0.9)), 1e-3)
    warmth, tint = rng.normal(0, 0.07), rng.normal(0, 0.025)
    dim = rng.random() < 0.25
    fixed = Development(
        gain=float(rng.uniform(0.07, 0.18) if dim else rng.uniform(0.16, 0.42)) / middle,
        balance=(1.0, 1.0, 1.0),
        vignette=float(rng.uniform(0, 0.3)),
        contrast=float(rng.uniform(0.9, 1.35)),
        saturation=float(rng.uniform(0.75, 1.25)),
        softness=float(rng.uniform(0, 0.7)),
        noise=float(rng.uniform(0.003, 0.02)) * (1.6 if dim else 1),
        grain=float(rng.uniform(0.2, 0.8)),
    )
    metered = np.log([max(float(each.mean()), 1e-3) for each in brightness])
    follow, delay = rng.uniform(0, 0.8), int(rng.integers(1, SLOWEST + 1))
    padded = np.concatenate([np.repeat(metered[:1], delay - 1), metered])
    smooth = np.convolve(padded, np.full(delay, 1 / delay), mode="valid")
    wander = np.cumsum(rng.normal(0, 0.02, len(metered)))
    drift = np.cumsum(rng.normal(0, [0.008, 0.004], (len(metered), 2)), 0)
    frames = []
    for frame in range(len(metered)):
        gain = fixed.gain * float(np.exp(-follow * (smooth[frame] - metered.mean()) + wander[frame]))
        warm, green = warmth + drift[frame, 0], tint + drift[frame, 1]
        frames.append(replace(fixed, gain=gain, balance=(1 + warm, 1 + green, 1 - warm)))
    return frames


def develop(light: Tensor, how: Development, rng: Rng) -> Tensor:
    """An 8-bit picture (height, width, 3) of linear light of the same shape."""
    height, width, _ = light.shape
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None, :]
    falloff = 1 - how.vignette * (x * x + y * y) / 2
    image = light * falloff[..., None] * torch.tensor(how.balance) * how.gain
    image = 1 - torch.exp(-1.2 * image.clamp(min=0))
    sigma = how.softness * width / 320
    if sigma > 0.2:
        image = torch.from_numpy(cv2.GaussianBlur(image.numpy(), (0, 0), sigma))
    gray = image.mean(-1, keepdim=True)
    image = (gray + how.saturation * (image - gray)).clamp(0, 1)
    white = rng.standard_normal(light.shape, np.float32)
    noise = (1 - how.grain) * white + how.grain * 2.5 * cv2.GaussianBlur(white, (0, 0), 0.8)
    image = image + torch.from_numpy(noise) * how.noise * (0.25 + image).sqrt() * image.clamp(min=0.01).sqrt() * 2
    image = image.clamp(0, 1).pow(how.contrast / 2.2)
    return (image * 255 + 0.5).to(torch.uint8)


def shutter_cameras(camera: Camera, following: Camera, moments: int, rng: Rng) -> tuple[Camera, ...]:
    """Where the camera is at `moments` moments of one exposure; it moves on towards `following` and shakes.

    The middle of the exposure is `camera`. Most pictures are sharp; a few smear over LONGEST_BLUR pixels.
    """
    width = camera.width
    focal = float(camera.intrinsics[0, 0])
    blur = min(float(rng.lognormal(-0.3, 0.9)), LONGEST_BLUR) * width / 320  # pixels
    if blur < 0.4 * width / 320:
        return ()
    shake = rng.normal(0, 1, 2)
    shake *= blur / focal / (np.linalg.norm(shake) + 1e-9)  # radians, about the camera's x and y
    moved = (following.center - camera.center) * float(min(blur / focal / 0.05, 0.4))
    cameras = []
    for moment in (np.arange(moments) + 0.5) / moments - 0.5:
        small = torch.eye(4)
        a, b = float(shake[0] * moment), float(shake[1] * moment)
        small[:3, :3] = torch.linalg.matrix_exp(torch.tensor([[0.0, 0, b], [0, 0, -a], [-b, a, 0]]))
        pose = camera.world_from_camera @ small
        pose[:3, 3] = camera.center + moved * float(moment)
        cameras.append(replace(camera, world_from_camera=pose))
    return tuple(cameras)
