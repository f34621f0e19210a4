"""IBRNet's aggregation of views, which NeuRay builds on, against its twins."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from random_contexts import random_context
from reference import ray_transformer as ray_twin
from reference import visibility as visibility_twin

from sray_train.paper.baselines.view_aggregation import AggregationHead, RayTransformer, ViewEvidence


def evidence(views: int, rays: int, samples: int, cues: int) -> ViewEvidence:
    generator = torch.Generator().manual_seed(views)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    valid = torch.rand(views, rays, samples, generator=generator) < 0.7
    valid[:, -1] = False
    context = random_context(valid, generator)
    return ViewEvidence(context, random(views, rays, samples).sigmoid() * valid, random(views, rays, samples, cues))


def test_the_ray_transformer_is_its_twin() -> None:
    torch.manual_seed(0)
    network = RayTransformer(8).double()
    torch.nn.init.normal_(network.norm.weight)
    torch.nn.init.normal_(network.norm.bias)
    features = torch.randn(3, 5, 8, dtype=torch.float64)
    coordinates = torch.rand(3, 5, dtype=torch.float64).sort(-1).values
    seen = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
    with torch.no_grad():
        found = network(features, seen, coordinates)
        attention = network.attention
        layer = (attention.project.weight, attention.project.bias, attention.output.weight, attention.output.bias)
        norm = (network.norm.weight.tolist(), network.norm.bias.tolist())
        for ray in range(3):
            expected = ray_twin.ray_transformer(
                features[ray], seen[ray], coordinates[ray], layer, attention.heads, norm
            )
            torch.testing.assert_close(found[ray], expected, atol=1e-10, rtol=1e-9)


def test_pooling_and_blending_are_their_twins() -> None:
    torch.manual_seed(0)
    head = AggregationHead(3, cues=2).double()
    given = evidence(views=3, rays=3, samples=2, cues=2)
    torch.nn.init.normal_(head.semantic_mlp[-1].weight)
    with torch.no_grad():
        points = head.gather(given)
        color, semantics = head.color(points), head.semantics(points, torch.zeros(points.pooled.shape[:2]))
        scores = head.blend_mlp(torch.cat([points.views, points.share, given.context.directions], dim=-1))[..., 0]
        added = head.semantic_mlp(points.pooled)
    for ray in range(3):
        for k in range(2):
            trust = given.trust[:, ray, k].tolist()
            shares = points.share[:, ray, k, 0].tolist()
            expected = visibility_twin.blend(
                scores[:, ray, k].tolist(),
                [max(t, 1e-2) if t else 0 for t in trust],
                given.context.colors[:, ray, k].tolist(),
            )
            assert color[ray, k].tolist() == pytest.approx(expected, abs=1e-9)
            for channel in range(32):
                mean, variance = visibility_twin.weighted_mean_and_variance(
                    points.views[:, ray, k, channel].tolist(), shares
                )
                # Shares are divided by at least 1e-6.
                assert float(points.pooled[ray, k, channel]) == pytest.approx(mean, abs=1e-9)
                assert float(points.pooled[ray, k, 32 + channel]) == pytest.approx(variance, abs=1e-9)
                mean, _ = visibility_twin.weighted_mean_and_variance(
                    given.context.features[:, ray, k, channel].tolist(), shares
                )
                assert float(semantics[ray, k, channel] - added[ray, k, channel]) == pytest.approx(mean, abs=1e-9)


def test_a_view_of_no_trust_has_no_say() -> None:
    """NeuRay's point: what an object hides does not enter the pooled point, nor its color."""
    torch.manual_seed(0)
    head = AggregationHead(3, cues=0).double()
    given = evidence(views=4, rays=2, samples=3, cues=0)
    given.context.valid[:] = True
    given.trust[:] = 1.0
    given.trust[2] = 0.0
    other = dataclasses.replace(given.context, tokens=given.context.tokens.clone())
    other.tokens[2] += 5
    with torch.no_grad():
        one, two = head.gather(given), head.gather(dataclasses.replace(given, context=other))
        torch.testing.assert_close(one.pooled, two.pooled)
