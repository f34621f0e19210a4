"""Arithmetic of the paper's form by formula: multiplications and additions of its matrix products, 2 per multiply-add.

Gathering, norms, activations, softmax and compositing are left out, as is usual: a share of the matrix-product rate
computed from these is a lower bound of the arithmetic done.
"""

from __future__ import annotations

from sray.attention import AttentionVariant
from sray.context import DIRECTION_CHANNELS, SIGHT_CHANNELS
from sray.density import RAY_CHANNELS, STATISTICS
from sray.encoder import FEATURE_CHANNELS
from sray.model import SemanticRayConfig
from sray.rays import SampleCounts


def attention_flops(tokens: int, keys: int, channels: int) -> int:
    """Tokens that each attend to `keys` tokens: 2 T (4 C^2 + 2 K C). Heads do not change the sum."""
    return 2 * tokens * (4 * channels**2 + 2 * keys * channels)


def cra_flops(variant: AttentionVariant, rays: int, samples: int, views: int, channels: int = FEATURE_CHANNELS) -> int:
    """Cross-Reprojection Attention, or one of its ablations.

    T = rays samples views; radial 2 T (4 C^2 + 2 S C), cross-view 2 T (4 C^2 + 2 V C), dense 2 T (4 C^2 + 2 S V C).
    """
    tokens = rays * samples * views
    keys = {
        "none": [],
        "mlp": [0, 0],  # as many products as the projections of two attentions
        "radial": [samples],
        "cross_view": [views],
        "full": [samples, views],
        "dense": [samples * views],
    }
    return sum(attention_flops(tokens, count, channels) for count in keys[variant])


def ray_flops(config: SemanticRayConfig, samples: SampleCounts, views: int) -> dict[str, int]:
    """One ray of `SemanticRay.forward`, by part, the encoder left out. Both passes in full, on their own samples."""
    total = samples.coarse + samples.fine
    tokens = total * views
    channels, directions = FEATURE_CHANNELS, DIRECTION_CHANNELS
    sight = SIGHT_CHANNELS if config.visibility == "full" else 0
    pooled = 2 * channels + (STATISTICS if config.density_statistics else 0) + 2 * sight
    return {
        "direction_mlp": 2 * tokens * (directions * 16 + 16 * channels),
        "projection": 2 * tokens * 3 * 3,
        "attention": sum(
            cra_flops(config.attention, 1, count, views, channels) for count in (samples.coarse, samples.fine)
        ),
        "view_weights": 2 * tokens * ((channels + directions + 1 + sight) * 16 + 16 * 8 + 8),
        "view_features": 2 * tokens * (channels**2 + channels + channels + directions),
        "ray_attention": sum(attention_flops(count, count, RAY_CHANNELS) for count in (samples.coarse, samples.fine)),
        "density": 2 * total * (pooled * 32 + 32 * RAY_CHANNELS + 2 * RAY_CHANNELS**2 + RAY_CHANNELS),
        "compositing": 2 * total * (channels + 3),
        "classifier": 2 * 2 * channels * config.classes,
    }
