// One sample in the source views: where they see it, M, its statistics over the views, color, view weights.

#pragma once

#include <cstring>

#include "block.hpp"

namespace sray {

// Everything about one sample that needs no other sample: M, its statistics over the views, color, view weights.
template <Block::Purpose purpose>
void Block::look(int s) {
    Lanes point[3], from_target[3];
    for (int axis = 0; axis < 3; ++axis) {
        from_target[axis] = depth[s] * direction[axis];
        point[axis] = scene.origin[axis] + from_target[axis];
    }
    normalize(from_target);
    find_views(s, point);
    Spread<CHANNELS> gated_spread, feature_spread;
    Spread<3> color_spread;
    Spread<SIGHT> sight_spread;
    gated_spread.clear(), feature_spread.clear(), color_spread.clear(), sight_spread.clear();
    Lanes seen_by = all(0);
    for (int v = 0; v < views; ++v) {
        Lanes feature[CHANNELS], color[4], gated[CHANNELS + DIRECTIONS];
        Lanes *token = &tokens[(v * samples + s) * CHANNELS];
        const Lanes is_valid = valid[v * samples + s];
        present[v * samples + s] = some(is_valid > all(0));
        if (!present[v * samples + s]) {
            blend[v] = all(ABSENT);
            view_weights[v * samples + s] = all(0);
            continue;
        }
        sample(v, feature, color);
        seen_by += is_valid;
        const Lanes share = is_valid / max(seen_by, all(1));

        Lanes difference[DIRECTIONS], hidden[16];
        compare_directions(v, point, from_target, difference);
        layers.direction_in(difference, hidden);
        elu<16>(hidden);
        layers.direction_out(hidden, token);
        elu<CHANNELS>(token);
        for (int c = 0; c < CHANNELS; ++c) token[c] += feature[c];

        layers.token(token, gated);
        const Lanes opening = sigmoid(layers.gate.dot(token));
        for (int c = 0; c < CHANNELS; ++c) gated[c] = elu(gated[c]) * opening;
        if (purpose != TINT) gated_spread.add(gated, is_valid, share);
        if (purpose != TINT && network.statistics) {
            feature_spread.add(feature, is_valid, share);
            color_spread.add(color, is_valid, share);
        }
        if (purpose != TINT && network.sight) sight_spread.add(&sight[v * SIGHT], is_valid, share);
        if (purpose == LOOK) continue;
        for (int i = 0; i < DIRECTIONS; ++i) gated[CHANNELS + i] = difference[i];
        const Lanes score = layers.color_score.dot(gated);
        blend[v] = is_valid > all(0) ? score : all(ABSENT);
        for (int c = 0; c < 3; ++c) tap[v * 3 + c] = color[c];
        if (purpose == SHADE) view_weights[v * samples + s] = score_view(v, token, difference, is_valid);
    }
    if (purpose != LOOK) blend_colors(s);
    if (purpose == TINT) return;
    if (purpose == SHADE) bound_view_weights(s);
    seen[s] = seen_by > all(0) ? all(1) : all(0);

    const Lanes inverse = 1.0f / max(seen_by, all(1));
    Lanes pooled[POOLED + STATISTICS + 2 * SIGHT] = {}, hidden[32];
    for (int c = 0; c < CHANNELS; ++c) {
        pooled[c] = gated_spread.mean[c];
        pooled[CHANNELS + c] = gated_spread.squares[c] * inverse;
    }
    if (network.statistics) {
        const Mask alone = seen_by < all(2);
        Lanes variance = all(0);
        for (int c = 0; c < CHANNELS; ++c) variance += feature_spread.squares[c];
        for (int c = 0; c < 3; ++c) {
            pooled[POOLED + c] = color_spread.mean[c];
            pooled[POOLED + 3 + c] = log_variance(color_spread.squares[c] * inverse, alone);
        }
        pooled[POOLED + 6] = log_variance(variance * inverse * (1.0f / CHANNELS), alone);
        pooled[POOLED + 7] = seen_by * (1.0f / views);
    }
    if (network.sight)
        for (int i = 0; i < SIGHT; ++i) {
            pooled[POOLED + STATISTICS + i] = sight_spread.mean[i];
            pooled[POOLED + STATISTICS + SIGHT + i] = sight_spread.squares[i] * inverse;
        }
    layers.pooled(pooled, hidden);
    elu<32>(hidden);
    layers.pooled_out(hidden, &along_ray[s * RAY_CHANNELS]);
    elu<RAY_CHANNELS>(&along_ray[s * RAY_CHANNELS]);
}

inline Lanes Block::log_variance(Lanes variance, Mask alone) {
    return alone ? all(0) : log(variance + 1e-4f) * (1.0f / 3) + 1.5f;
}

inline void Block::normalize(Lanes *vector) {
    const Lanes length = sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]);
    const Lanes inverse = 1.0f / max(length, all(1e-12f));
    for (int axis = 0; axis < 3; ++axis) vector[axis] *= inverse;
}

// Table 12, input 2.
inline void Block::compare_directions(int v, const Lanes *point, const Lanes *target, Lanes *difference) const {
    Lanes source[3];
    for (int axis = 0; axis < 3; ++axis) source[axis] = point[axis] - scene.centers[v * 3 + axis];
    normalize(source);
    difference[3] = all(0);
    for (int axis = 0; axis < 3; ++axis) {
        difference[axis] = source[axis] - target[axis];
        difference[3] += source[axis] * target[axis];
    }
}

// Which views count for a sample: those that have it in their image and are not sure that it is hidden; if none
// is left, all that have it in their image.
inline void Block::find_views(int s, const Lanes *point) {
    Lanes any = all(0);
    for (int v = 0; v < views; ++v) {
        const Lanes depth_there = project(v, point, valid[v * samples + s]);
        blend[v] = valid[v * samples + s];
        if (network.mask) blend[v] *= look_at_surface(v, depth_there);
        any = max(any, blend[v]);
    }
    for (int v = 0; v < views; ++v) valid[v * samples + s] = any > all(0) ? blend[v] : valid[v * samples + s];
}

// Eq. 4: where points fall in a view; returns their depth there, and 1 for those inside its image.
inline Lanes Block::project(int v, const Lanes *point, Lanes &is_inside) {
    const float *p = scene.projection + v * 12;
    Lanes homogeneous[3];
    for (int row = 0; row < 3; ++row)
        homogeneous[row] = point[0] * p[row * 4] + point[1] * p[row * 4 + 1] + point[2] * p[row * 4 + 2] +
                           p[row * 4 + 3];
    const Mask in_front = homogeneous[2] > all(1e-6f);
    const Lanes inverse = 1.0f / (in_front ? homogeneous[2] : all(1));
    const Lanes x = column[v] = homogeneous[0] * inverse, y = row[v] = homogeneous[1] * inverse;
    const Mask inside = (x >= all(-0.5f)) & (x < all(scene.width - 0.5f)) & (y >= all(-0.5f)) &
                        (y < all(scene.height - 0.5f)) & in_front;
    is_inside = inside ? all(1) : all(0);
    return homogeneous[2];
}

// The surface that the view sees at the nearest pixel, against a depth there: tells the sight, and returns 0 where
// the view is sure not to see it. What is unknown has a confidence of 0.
inline Lanes Block::look_at_surface(int v, Lanes depth_there) {
    Lanes surface = all(0), confidence = all(0);
    if (scene.surfaces != nullptr) {
        const Mask x = integer(round(clamp(column[v], 0, scene.width - 1.0f)));
        const Mask y = integer(round(clamp(row[v], 0, scene.height - 1.0f)));
        for (int lane = 0; lane < LANES; ++lane) {
            const size_t line = static_cast<size_t>(v) * scene.height + y[lane];
            const float *at = scene.surfaces + (line * scene.width + x[lane]) * 2;
            surface[lane] = at[0], confidence[lane] = at[1];
        }
    }
    const Lanes tolerances = (depth_there - surface) * (confidence / (TOLERANCE + RELATIVE_TOLERANCE * surface));
    sight[v * SIGHT] = sigmoid(SHARPNESS * (confidence - tolerances));
    sight[v * SIGHT + 1] = clamp(tolerances * (1.0f / REACH), -1, 1);
    return tolerances > all(HIDDEN) ? all(0) : all(1);
}

// A view's features and colors where the sample falls.
inline void Block::sample(int v, Lanes *feature, Lanes *color) const {
    const Lanes x = column[v], y = row[v];
    // Cell i of the quarter-resolution map is centered at pixel 4 i of the picture as it was read. Border padding, as
    // the plain version has it.
    const Lanes cell_x = ((x + 0.5f) * scene.reading_scale[0] - 0.5f) * 0.25f;
    const Lanes cell_y = ((y + 0.5f) * scene.reading_scale[1] - 0.5f) * 0.25f;
    interpolate<CHANNELS>(scene.features + static_cast<size_t>(v) * scene.rows * scene.columns * CHANNELS,
                          scene.rows, scene.columns, cell_x, cell_y, feature);
    interpolate<4>(scene.images + static_cast<size_t>(v) * scene.height * scene.width * 4, scene.height,
                   scene.width, x, y, color);
}

// Bilinear, channels last: each lane reads its four cells whole, then lanes and channels change places.
template <int COUNT>
void Block::interpolate(const float *image, int rows, int columns, Lanes x, Lanes y, Lanes *values) {
    x = clamp(x, 0, columns - 1.0f);
    y = clamp(y, 0, rows - 1.0f);
    const Mask column = integer(x), row = integer(y);
    const Lanes right = x - real(column), lower = y - real(row);
    constexpr int WIDTH = COUNT < LANES ? COUNT : LANES, PARTS = COUNT / WIDTH;
    typedef float Part __attribute__((vector_size(4 * WIDTH)));
    typedef float LoosePart __attribute__((vector_size(4 * WIDTH), aligned(4)));
    Lanes mixed[PARTS][LANES];
    for (int lane = 0; lane < LANES; ++lane) {
        const int next_column = column[lane] + 1 < columns ? COUNT : 0;
        const int next_row = row[lane] + 1 < rows ? columns * COUNT : 0;
        const float *at = image + (static_cast<size_t>(row[lane]) * columns + column[lane]) * COUNT;
        const float r = right[lane], l = lower[lane];
        const float shares[4] = {(1 - r) * (1 - l), r * (1 - l), (1 - r) * l, r * l};
        const int steps[4] = {0, next_column, next_row, next_row + next_column};
        for (int part = 0; part < PARTS; ++part) {
            Part sum = {};
            for (int corner = 0; corner < 4; ++corner)
                sum += shares[corner] * *reinterpret_cast<const LoosePart *>(at + steps[corner] + part * WIDTH);
            std::memcpy(&mixed[part][lane], &sum, sizeof sum);
        }
    }
    for (int part = 0; part < PARTS; ++part) {
        transpose(mixed[part]);
        for (int i = 0; i < WIDTH; ++i) values[part * WIDTH + i] = mixed[part][i];
    }
}

// Table 14, before the bound.
inline Lanes Block::score_view(int v, const Lanes *token, const Lanes *difference, Lanes is_valid) const {
    Lanes inputs[CHANNELS + DIRECTIONS + 1 + SIGHT] = {}, hidden[16], last[8];
    for (int c = 0; c < CHANNELS; ++c) inputs[c] = token[c];
    for (int i = 0; i < DIRECTIONS; ++i) inputs[CHANNELS + i] = difference[i];
    inputs[CHANNELS + DIRECTIONS] = is_valid;
    for (int i = 0; network.sight && i < SIGHT; ++i) inputs[CHANNELS + DIRECTIONS + 1 + i] = sight[v * SIGHT + i];
    layers.view_in(inputs, hidden);
    elu<16>(hidden);
    layers.view_middle(hidden, last);
    elu<8>(last);
    return sigmoid(layers.view_out.dot(last)) * is_valid;
}

// Masked softmax over the views blends their colors.
inline void Block::blend_colors(int s) {
    Lanes highest = all(ABSENT), total = all(0), sum[3] = {};
    for (int v = 0; v < views; ++v) highest = max(highest, blend[v]);
    for (int v = 0; v < views; ++v) {
        const Lanes share = exp(blend[v] - highest) * valid[v * samples + s];
        total += share;
        for (int c = 0; c < 3; ++c) sum[c] += share * tap[v * 3 + c];
    }
    const Lanes inverse = 1.0f / max(total, all(1e-12f));
    for (int c = 0; c < 3; ++c) colors[s * 3 + c] = sum[c] * inverse;
}

inline void Block::bound_view_weights(int s) {
    Lanes total = all(0);
    for (int v = 0; v < views; ++v) {
        blend[v] = view_weights[v * samples + s];
        bias[v] = valid[v * samples + s];
        total += blend[v];
    }
    const Lanes inverse = 1.0f / max(total, all(1e-12f));
    for (int v = 0; v < views; ++v) blend[v] *= inverse;
    project_to_tau_bound(blend.data(), bias.data(), views, network.tau);
    for (int v = 0; v < views; ++v) view_weights[v * samples + s] = blend[v];
}

}  // namespace sray
