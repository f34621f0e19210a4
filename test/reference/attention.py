"""Attention read aloud (eq. 6-10): one head, one query and one key at a time, in double precision.

A "layer" is (W_qkv, b_qkv, W_o, b_o): the three projection matrices stacked as rows, so that q = W_q x + b_q.
Everything stays a torch scalar, so that autograd can differentiate through the loops.
"""

from __future__ import annotations

import math

import torch


def multi_head(tokens, valid, layer, heads):
    """Self-attention of a list of token vectors. Absent tokens are no keys; without any key the result is zero."""
    stacked, stacked_bias, mix, mix_bias = layer
    channels = len(tokens[0])
    width = channels // heads
    projected = []
    for token in tokens:
        vector = [
            sum(stacked[row, column] * token[column] for column in range(channels)) + stacked_bias[row]
            for row in range(3 * channels)
        ]
        projected.append((vector[:channels], vector[channels : 2 * channels], vector[2 * channels :]))
    keys = [index for index in range(len(tokens)) if valid[index]]
    results = []
    for query, _, _ in projected:
        if not keys:
            results.append(torch.zeros(channels, dtype=torch.float64))
            continue
        joined = []
        for head in range(heads):
            part = range(head * width, (head + 1) * width)
            scores = [sum(query[c] * projected[key][1][c] for c in part) / math.sqrt(width) for key in keys]
            exponentials = [torch.exp(score - max(scores).detach()) for score in scores]
            for c in part:
                blended = sum(e * projected[key][2][c] for e, key in zip(exponentials, keys, strict=True))
                joined.append(blended / sum(exponentials))
        results.append(
            torch.stack(
                [sum(mix[row, c] * joined[c] for c in range(channels)) + mix_bias[row] for row in range(channels)]
            )
        )
    return torch.stack(results)


def radial(context, valid, layer, heads):
    """Eq. 9: each view by itself, along each ray. `context`: views x rays x samples x channels."""
    refined = torch.zeros_like(context)
    for view in range(context.shape[0]):
        for ray in range(context.shape[1]):
            refined[view, ray] = multi_head(list(context[view, ray]), valid[view, ray], layer, heads)
    return refined


def cross_view(context, valid, layer, heads):
    """Eq. 10: each sample by itself, across the views."""
    refined = torch.zeros_like(context)
    for ray in range(context.shape[1]):
        for sample in range(context.shape[2]):
            refined[:, ray, sample] = multi_head(list(context[:, ray, sample]), valid[:, ray, sample], layer, heads)
    return refined


def dense(context, valid, layer, heads):
    """Every sample of every view of a ray attends to all of them."""
    views, rays, samples, _ = context.shape
    refined = torch.zeros_like(context)
    for ray in range(rays):
        places = [(view, sample) for view in range(views) for sample in range(samples)]
        tokens = [context[view, ray, sample] for view, sample in places]
        results = multi_head(tokens, [valid[view, ray, sample] for view, sample in places], layer, heads)
        for (view, sample), result in zip(places, results, strict=True):
            refined[view, ray, sample] = result
    return refined


def position(coordinate, channels):
    """Fixed sinusoids of 64 s: sines of falling frequency, then the cosines."""
    half = channels // 2
    angles = [64 * coordinate / 10_000 ** (2 * index / channels) for index in range(half)]
    return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]


def alone(context, layers):
    """A hidden layer with ELU on every token by itself. `layers`: weight and bias of both."""
    (hidden, hidden_bias), (output, output_bias) = layers
    refined = torch.zeros_like(context)
    for index in torch.cartesian_prod(*(torch.arange(size) for size in context.shape[:-1])).tolist():
        token = context[tuple(index)]
        inner = [sum(row * token) + bias for row, bias in zip(hidden, hidden_bias, strict=True)]
        active = torch.stack([value if value > 0 else torch.exp(value) - 1 for value in inner])
        rows = zip(output, output_bias, strict=True)
        refined[tuple(index)] = torch.stack([sum(row * active) + bias for row, bias in rows])
    return refined
