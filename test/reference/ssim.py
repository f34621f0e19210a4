"""Structural similarity as published, one window at a time: Gaussian of 1.5 pixels over 11x11, K1 0.01, K2 0.03.

Every window that lies within the picture counts once; then the mean over windows and channels. Values in 0..1.
"""

from __future__ import annotations

import math

WINDOW = 11
SIGMA = 1.5


def gaussian_window():
    """Weights of the window, row by row; they sum to 1."""
    middle = WINDOW // 2
    weights = [
        [math.exp(-((row - middle) ** 2 + (column - middle) ** 2) / (2 * SIGMA**2)) for column in range(WINDOW)]
        for row in range(WINDOW)
    ]
    total = sum(map(sum, weights))
    return [[weight / total for weight in row] for row in weights]


def similarity(first, second, weights):
    """Of two windows: luminance, contrast and structure in one fraction."""
    cells = [(row, column) for row in range(WINDOW) for column in range(WINDOW)]

    def weighted(value):
        return sum(weights[row][column] * value(row, column) for row, column in cells)

    mean_a = weighted(lambda row, column: first[row][column])
    mean_b = weighted(lambda row, column: second[row][column])
    variance_a = weighted(lambda row, column: (first[row][column] - mean_a) ** 2)
    variance_b = weighted(lambda row, column: (second[row][column] - mean_b) ** 2)
    covariance = weighted(lambda row, column: (first[row][column] - mean_a) * (second[row][column] - mean_b))
    c1, c2 = 0.01**2, 0.03**2
    return (
        (2 * mean_a * mean_b + c1)
        * (2 * covariance + c2)
        / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))
    )


def ssim(image, truth):
    """`image`, `truth`: rows of columns of channels, as nested lists of floats."""
    weights = gaussian_window()
    height, width, channels = len(image), len(image[0]), len(image[0][0])
    values = []
    for channel in range(channels):
        for top in range(height - WINDOW + 1):
            for left in range(width - WINDOW + 1):
                windows = [
                    [[picture[top + row][left + column][channel] for column in range(WINDOW)] for row in range(WINDOW)]
                    for picture in (image, truth)
                ]
                values.append(similarity(*windows, weights))
    return sum(values) / len(values)
