// The weights of one head, in the order of weights.py, and statistics over the views.

#pragma once

#include "interface.hpp"
#include "layers.hpp"

namespace sray {

// All weights of one head, and of the context builder before it.
struct Layers {
    Linear<DIRECTIONS, 16> direction_in;
    Linear<16, CHANNELS> direction_out;
    Linear<CHANNELS, CHANNELS> token;
    Linear<CHANNELS, 1> gate;
    Linear<POOLED + STATISTICS + 2 * SIGHT, 32> pooled;  // inputs that the network lacks have weights of zero
    Linear<32, RAY_CHANNELS> pooled_out;
    Attention<RAY_CHANNELS> ray_attention;
    Linear<RAY_CHANNELS, RAY_CHANNELS> ray, density_in;
    Linear<RAY_CHANNELS, 1> density_out;
    Linear<CHANNELS + DIRECTIONS, 1> color_score;
    Linear<CHANNELS + DIRECTIONS + 1 + SIGHT, 16> view_in;  // likewise
    Linear<16, 8> view_middle;
    Linear<8, 1> view_out;
    LayerNorm<CHANNELS> radial_norm, cross_norm;
    Attention<CHANNELS> radial, cross;

    explicit Layers(const Network &network) {
        Cursor cursor{network.weights};
        direction_in.read(cursor), direction_out.read(cursor);
        token.read(cursor), gate.read(cursor), pooled.read(cursor);
        pooled_out.read(cursor), ray_attention.read(cursor), ray.read(cursor);
        density_in.read(cursor), density_out.read(cursor), color_score.read(cursor);
        view_in.read(cursor), view_middle.read(cursor), view_out.read(cursor);
        if (network.radial) read_step(cursor, network, radial_norm, radial);
        if (network.cross_view) read_step(cursor, network, cross_norm, cross);
        fits = cursor.at == network.weights + network.count;
    }
    bool fits;  // as many weights were read as there are
    static void read_step(Cursor &cursor, const Network &network, LayerNorm<CHANNELS> &norm,
                          Attention<CHANNELS> &attention) {
        if (network.residual) norm.read(cursor);
        attention.read(cursor);
    }
};

// Mean and biased variance over the views that see a sample, view by view (Welford): one pass, no cancellation.
template <int COUNT>
struct Spread {
    Lanes mean[COUNT], squares[COUNT];
    void clear() {
        for (int i = 0; i < COUNT; ++i) mean[i] = squares[i] = all(0);
    }
    // `share`: 1 / number of valid views so far.
    void add(const Lanes *x, Lanes valid, Lanes share) {
        for (int i = 0; i < COUNT; ++i) {
            const Lanes difference = (x[i] - mean[i]) * valid;
            mean[i] += difference * share;
            squares[i] += difference * (x[i] - mean[i]);
        }
    }
};

}  // namespace sray
