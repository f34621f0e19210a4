"""Mean and biased variance over the views that see a sample (Table 15, L5-L6), by loops."""

from __future__ import annotations

import torch


def mean_and_variance(values, valid):
    """`values`: views x rays x samples x channels; `valid`: views x rays x samples. Zero where no view is valid."""
    views, rays, samples, channels = values.shape
    mean = torch.zeros(rays, samples, channels, dtype=torch.float64)
    variance = torch.zeros(rays, samples, channels, dtype=torch.float64)
    for ray in range(rays):
        for sample in range(samples):
            seeing = [view for view in range(views) if valid[view, ray, sample]]
            for channel in range(channels):
                numbers = [values[view, ray, sample, channel] for view in seeing]
                if numbers:
                    middle = sum(numbers) / len(numbers)
                    mean[ray, sample, channel] = middle
                    variance[ray, sample, channel] = sum((n - middle) ** 2 for n in numbers) / len(numbers)
    return mean, variance
