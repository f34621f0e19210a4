// Along the rays and across the views: densities, attention, compositing.

#pragma once

#include <cmath>

#include "block.hpp"

namespace sray {

// Table 15, L9-L11, and eq. 2's weights.
inline void Block::work_out_weights() {
    for (int s = 0; s < samples; ++s) {
        bias[s] = (1.0f - seen[s]) * ABSENT;
        layers.ray_attention.project(&along_ray[s * RAY_CHANNELS], &projected[s * 3 * RAY_CHANNELS]);
    }
    Attention<RAY_CHANNELS>::gather(projected.data(), bias.data(), samples, gathered.data(), scores.data());
    Lanes any = all(0);
    for (int s = 0; s < samples; ++s) any = max(any, seen[s]);
    Lanes passed = all(0);  // sum of sigma delta so far
    for (int s = 0; s < samples; ++s) {
        Lanes mixed[RAY_CHANNELS], hidden[RAY_CHANNELS];
        layers.ray_attention.output(&gathered[s * RAY_CHANNELS], mixed);
        const Lanes *before = &along_ray[s * RAY_CHANNELS];
        for (int c = 0; c < RAY_CHANNELS; ++c)
            mixed[c] = network.statistics ? before[c] + mixed[c] * any : relu(mixed[c] * any);
        layers.ray(mixed, hidden);
        elu<RAY_CHANNELS>(hidden);
        layers.density_in(hidden, mixed);
        elu<RAY_CHANNELS>(mixed);
        const Lanes density = relu(layers.density_out.dot(mixed)) * seen[s];
        const Lanes optical = density * step(s);
        weights[s] = exp(-passed) * (1.0f - exp(-optical));
        passed += optical;
    }
}

inline Lanes Block::step(int s) const {
    if (samples == 1) return all(STEP_SCALE);
    const int from = std::min(s, samples - 2);  // the last step equals the one before it
    return STEP_SCALE * (coordinate[from + 1] - coordinate[from]);
}

// Eq. 6-9: per view, the samples of its reprojected ray attend to each other.
inline void Block::attend_along_rays() {
    place_samples();
    for (int v = 0; v < views; ++v) {
        Lanes any = all(0);
        int count = 0;
        for (int s = 0; s < samples; ++s) {
            if (!present[v * samples + s]) continue;
            const Lanes is_valid = valid[v * samples + s];
            any = max(any, is_valid);
            bias[count] = (1.0f - is_valid) * ABSENT;
            Lanes placed[CHANNELS];
            const Lanes *token = &tokens[(v * samples + s) * CHANNELS];
            for (int c = 0; c < CHANNELS; ++c) placed[c] = token[c] + positions[s * CHANNELS + c];
            if (network.residual) layers.radial_norm(placed, placed);
            layers.radial.project(placed, &projected[count++ * 3 * CHANNELS]);
        }
        Attention<CHANNELS>::gather(projected.data(), bias.data(), count, gathered.data(), scores.data());
        for (int s = 0, i = 0; s < samples; ++s)
            if (present[v * samples + s])
                take_in(layers.radial, &gathered[i++ * CHANNELS], any, &tokens[(v * samples + s) * CHANNELS]);
    }
}

inline void Block::take_in(const Attention<CHANNELS> &attention, const Lanes *collected, Lanes any, Lanes *token) const {
    Lanes mixed[CHANNELS];
    attention.output(collected, mixed);
    for (int c = 0; c < CHANNELS; ++c) token[c] = network.residual ? token[c] + mixed[c] * any : relu(mixed[c] * any);
}

// Fixed sinusoids of the coordinate: sines in the first half, cosines in the second.
inline void Block::place_samples() {
    constexpr int HALF = CHANNELS / 2;
    for (int s = 0; s < samples; ++s)
        for (int i = 0; i < HALF; ++i) {
            const float frequency = std::exp(-std::log(10000.0f) * i / HALF);
            sine_cosine(POSITION_SCALE * frequency * coordinate[s], positions[s * CHANNELS + i],
                        positions[s * CHANNELS + HALF + i]);
        }
}

// Eq. 10, 11 and 13: per sample, the views attend to each other; view weights and compositing weights sum them up.
// With a residual, the output projection is linear in what is summed: it is applied once, to the sum.
inline void Block::attend_across_views(Lanes *semantic) {
    Lanes collected[CHANNELS], total = all(0);
    for (int c = 0; c < CHANNELS; ++c) semantic[c] = collected[c] = all(0);
    for (int s = 0; s < samples; ++s) {
        int count = 0;
        for (int v = 0; v < views; ++v) {
            if (!present[v * samples + s]) continue;
            const Lanes *token = &tokens[(v * samples + s) * CHANNELS];
            Lanes normed[CHANNELS];
            bias[count] = (1.0f - valid[v * samples + s]) * ABSENT;
            if (network.residual) layers.cross_norm(token, normed), token = normed;
            layers.cross.project(token, &projected[count++ * 3 * CHANNELS]);
        }
        Attention<CHANNELS>::gather(projected.data(), bias.data(), count, gathered.data(), scores.data());
        for (int v = 0, i = 0; v < views; ++v) {
            if (!present[v * samples + s]) continue;
            const Lanes *collected_there = &gathered[i++ * CHANNELS];
            Lanes *token = &tokens[(v * samples + s) * CHANNELS];
            const Lanes weight = weights[s] * view_weights[v * samples + s];
            if (network.residual) {
                const Lanes share = weight * seen[s];
                total += share;
                for (int c = 0; c < CHANNELS; ++c) collected[c] += share * collected_there[c];
            } else {
                take_in(layers.cross, collected_there, seen[s], token);
            }
            for (int c = 0; c < CHANNELS; ++c) semantic[c] += weight * token[c];
        }
    }
    if (!network.residual) return;
    Lanes mixed[CHANNELS];
    layers.cross.output(collected, mixed);
    for (int c = 0; c < CHANNELS; ++c) semantic[c] += mixed[c] + (total - 1.0f) * layers.cross.output.bias[c];
}

inline void Block::composite(Lanes *semantic) const {
    for (int c = 0; c < CHANNELS; ++c) semantic[c] = all(0);
    for (int v = 0; v < views; ++v)
        for (int s = 0; s < samples; ++s) {
            if (!present[v * samples + s]) continue;
            const Lanes weight = weights[s] * view_weights[v * samples + s];
            for (int c = 0; c < CHANNELS; ++c) semantic[c] += weight * tokens[(v * samples + s) * CHANNELS + c];
        }
}

}  // namespace sray
