// The layers of the network on lanes: one ray per lane, weights broadcast.
#pragma once

#include <vector>

#include "vector.hpp"

namespace sray {

// Reads the weights in the order in which kernel/weights.py writes them.
struct Cursor {
    const float *at;
    const float *take(int count) {
        const float *taken = at;
        at += count;
        return taken;
    }
};

// Weights as (in, out), then the bias.
template <int IN, int OUT>
struct Linear {
    const float *weight, *bias;
    void read(Cursor &cursor) {
        weight = cursor.take(IN * OUT);
        bias = cursor.take(OUT);
    }
    void operator()(const Lanes *x, Lanes *y) const {
        constexpr int TILE = OUT % 16 == 0 && LANES == 16 ? 16 : (OUT % 8 == 0 ? 8 : OUT);
        static_assert(OUT % TILE == 0, "outputs come in whole tiles");
        for (int out = 0; out < OUT; out += TILE) {
            Lanes sum[TILE];
#pragma GCC unroll 16
            for (int t = 0; t < TILE; ++t) sum[t] = all(bias[out + t]);
            for (int in = 0; in < IN; ++in) {
                const Lanes value = x[in];
                const float *row = weight + in * OUT + out;
#pragma GCC unroll 16
                for (int t = 0; t < TILE; ++t) sum[t] += value * row[t];
            }
#pragma GCC unroll 16
            for (int t = 0; t < TILE; ++t) y[out + t] = sum[t];
        }
    }
    // One output.
    Lanes dot(const Lanes *x) const {
        static_assert(OUT == 1, "only one output is one number");
        Lanes sum[4] = {all(bias[0]), all(0), all(0), all(0)};  // four chains: additions do not wait for each other
        static_assert(IN % 4 == 0, "inputs come in fours");
        for (int in = 0; in < IN; in += 4)
#pragma GCC unroll 4
            for (int chain = 0; chain < 4; ++chain) sum[chain] += x[in + chain] * weight[in + chain];
        return (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }
};

template <int COUNT>
inline void elu(Lanes *x) {
    for (int i = 0; i < COUNT; ++i) x[i] = elu(x[i]);
}

template <int CHANNELS>
struct LayerNorm {
    const float *scale, *shift;
    void read(Cursor &cursor) {
        scale = cursor.take(CHANNELS);
        shift = cursor.take(CHANNELS);
    }
    void operator()(const Lanes *x, Lanes *y) const {
        Lanes mean = all(0), variance = all(0);
        for (int c = 0; c < CHANNELS; ++c) mean += x[c];
        mean *= 1.0f / CHANNELS;
        for (int c = 0; c < CHANNELS; ++c) variance += (x[c] - mean) * (x[c] - mean);
        const Lanes inverse = 1.0f / sqrt(variance * (1.0f / CHANNELS) + 1e-5f);
        for (int c = 0; c < CHANNELS; ++c) y[c] = (x[c] - mean) * inverse * scale[c] + shift[c];
    }
};

// Multi-head attention over a sequence; absent tokens are masked as keys. Eq. 6-8.
// The queries' weights are scaled by 1 / sqrt(head channels) beforehand.
template <int CHANNELS>
struct Attention {
    static constexpr int HEADS = 4, DEPTH = CHANNELS / HEADS;
    Linear<CHANNELS, 3 * CHANNELS> project;
    Linear<CHANNELS, CHANNELS> output;
    void read(Cursor &cursor) {
        project.read(cursor);
        output.read(cursor);
    }
    // projected: (tokens, 3 channels). What each token gathers, before `output`, goes to (tokens, channels);
    // `bias` is 0 for a valid token and hugely negative for an absent one.
    static void gather(const Lanes *projected, const Lanes *bias, int tokens, Lanes *gathered, Lanes *scores) {
        for (int head = 0; head < HEADS; ++head) {
            for (int i = 0; i < tokens; ++i) {
                const Lanes *query = projected + i * 3 * CHANNELS + head * DEPTH;
                Lanes q[DEPTH], sum[DEPTH], highest = all(-1e30f), total = all(0);
#pragma GCC unroll 8
                for (int c = 0; c < DEPTH; ++c) q[c] = query[c], sum[c] = all(0);
                for (int j = 0; j < tokens; ++j) {
                    const Lanes *key = projected + j * 3 * CHANNELS + CHANNELS + head * DEPTH;
                    Lanes score = bias[j];
#pragma GCC unroll 8
                    for (int c = 0; c < DEPTH; ++c) score += q[c] * key[c];
                    scores[j] = score;
                    highest = max(highest, score);
                }
                for (int j = 0; j < tokens; ++j) {
                    const Lanes *value = projected + j * 3 * CHANNELS + 2 * CHANNELS + head * DEPTH;
                    const Lanes share = exp(scores[j] - highest);
                    total += share;
#pragma GCC unroll 8
                    for (int c = 0; c < DEPTH; ++c) sum[c] += share * value[c];
                }
                const Lanes inverse = 1.0f / total;
#pragma GCC unroll 8
                for (int c = 0; c < DEPTH; ++c) gathered[i * CHANNELS + head * DEPTH + c] = sum[c] * inverse;
            }
        }
    }
};

// Euclidean projection onto {tau/m <= w <= 1/(tau m), sum w = 1} over the m valid views (eq. 12, 17): bisection for
// the threshold, then the threshold once more from the entries between the bounds, which is exact.
inline void project_to_tau_bound(Lanes *weights, const Lanes *valid, int views, float tau) {
    Lanes count = all(0);
    for (int v = 0; v < views; ++v) count += valid[v];
    count = max(count, all(1));
    const Lanes low = tau / count, high = 1.0f / (tau * count);
    Lanes below = all(-1.0f / tau - 1.0f), above = all(1);
    for (int step = 0; step < 24; ++step) {
        const Lanes theta = 0.5f * (below + above);
        Lanes sum = all(0);
        for (int v = 0; v < views; ++v) {
            Lanes w = weights[v] - theta;
            w = w > low ? w : low;
            sum += (w < high ? w : high) * valid[v];
        }
        const Mask enough = sum >= all(1);
        below = enough ? theta : below;
        above = enough ? above : theta;
    }
    const Lanes theta = 0.5f * (below + above);
    Lanes fixed = all(0), free = all(0), free_count = all(0);
    for (int v = 0; v < views; ++v) {
        const Lanes w = weights[v] - theta;
        const Mask at_low = w <= low, at_high = w >= high;
        fixed += valid[v] * (at_low ? low : (at_high ? high : all(0)));
        const Lanes is_free = valid[v] * ((at_low | at_high) != 0 ? all(0) : all(1));
        free += is_free * weights[v];
        free_count += is_free;
    }
    const Lanes shift = (free + fixed - 1.0f) / max(free_count, all(1));
    for (int v = 0; v < views; ++v) {
        const Lanes w = weights[v] - theta;
        weights[v] = valid[v] * (w <= low ? low : (w >= high ? high : weights[v] - shift));
    }
}

}  // namespace sray
