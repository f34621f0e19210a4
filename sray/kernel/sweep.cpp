// The plane sweep of sray/stereo/sweep.py: how well partners agree with a keyframe at each of several depths.
//
// The plain version warps all features of a partner to every plane before it compares them; here a cell's features stay
// in registers, and what is read of a partner is used at once.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "vector.hpp"

extern "C" {

// Features are channels last, float32, `channels` a multiple of 16.
struct Sweep {
    int32_t views, planes, rows, columns, channels;
    int32_t stride;          // pixels from cell to cell
    int32_t depths_a_plane;  // 1, or as many as cells
    int32_t width, height;   // of the partners' pictures
    const float *reference;  // (cells, channels)
    const float *partners;   // (views, cells, channels)
    const float *slope;      // (views, 3, cells): homogeneous pixel of a cell's point = start + depth * slope
    const float *start;      // (views, 3)
    const float *depths;     // (planes, depths_a_plane)
    float *found;            // (3, planes, cells): mean and best correlation, share of the partners that see the cell
};
}

namespace sray {
namespace {

// Where the bilinear neighbors of one place lie, and how much each counts.
struct Place {
    const float *corner[4];
    float weight[4];
};

inline Place place(const float *map, int rows, int columns, int channels, float x, float y) {
    x = std::min(std::max(x, 0.0f), float(columns - 1));
    y = std::min(std::max(y, 0.0f), float(rows - 1));
    const int left = std::min(int(x), std::max(columns - 2, 0)), top = std::min(int(y), std::max(rows - 2, 0));
    const float right_share = x - float(left), low_share = y - float(top);
    const int right = columns > 1 ? channels : 0, low = rows > 1 ? columns * channels : 0;
    const float *first = map + (size_t(top) * columns + left) * channels;
    return {{first, first + right, first + low, first + low + right},
            {(1 - right_share) * (1 - low_share), right_share * (1 - low_share), (1 - right_share) * low_share,
             right_share * low_share}};
}

inline Lanes load(const float *from) {
    Lanes value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

inline float correlation(const float *reference, const Place &there, int channels) {
    Lanes sum = all(0);
    for (int c = 0; c < channels; c += LANES) {
        Lanes read = load(there.corner[0] + c) * there.weight[0];
        read += load(there.corner[1] + c) * there.weight[1];
        read += load(there.corner[2] + c) * there.weight[2];
        read += load(there.corner[3] + c) * there.weight[3];
        sum += read * load(reference + c);
    }
    float total = 0;
    for (int lane = 0; lane < LANES; ++lane) total += sum[lane];
    return total;
}

void sweep_cell(const Sweep &work, int cell) {
    const int cells = work.rows * work.columns;
    const float cells_a_pixel = 1 / float(work.stride);
    const float *reference = work.reference + size_t(cell) * work.channels;
    for (int plane = 0; plane < work.planes; ++plane) {
        const float depth = work.depths[size_t(plane) * work.depths_a_plane + (work.depths_a_plane > 1 ? cell : 0)];
        float total = 0, best = -1;
        int seen = 0;
        for (int view = 0; view < work.views; ++view) {
            const float *slope = work.slope + size_t(view) * 3 * cells + cell, *start = work.start + 3 * view;
            const float z = start[2] + depth * slope[2 * cells];
            if (!(z > 1e-3f)) continue;
            const float scale = 1 / z;
            const float u = (start[0] + depth * slope[0]) * scale, v = (start[1] + depth * slope[cells]) * scale;
            if (!(u >= -0.5f && u < float(work.width) - 0.5f && v >= -0.5f && v < float(work.height) - 0.5f)) continue;
            const float *map = work.partners + size_t(view) * cells * work.channels;
            const Place there = place(map, work.rows, work.columns, work.channels, u * cells_a_pixel, v * cells_a_pixel);
            const float similar = correlation(reference, there, work.channels);
            total += similar;
            best = std::max(best, similar);
            ++seen;
        }
        float *found = work.found + size_t(plane) * cells + cell;
        const size_t kind = size_t(work.planes) * cells;
        found[0] = seen ? total / float(seen) : 0;
        found[kind] = seen ? best : 0;
        found[2 * kind] = float(seen) / float(std::max(1, work.views));
    }
}

}  // namespace
}  // namespace sray

extern "C" int32_t sray_sweep(const Sweep *work, int32_t threads) {
    if (work->channels % 16 || work->channels % sray::LANES) return 1;
    constexpr int TOGETHER = 64;  // cells that a thread takes at a time
    const int cells = work->rows * work->columns;
    std::atomic<int> next{0};
    auto some = [&] {
        for (int first; (first = next.fetch_add(TOGETHER)) < cells;)
            for (int cell = first; cell < std::min(cells, first + TOGETHER); ++cell) sray::sweep_cell(*work, cell);
    };
    std::vector<std::thread> helpers;
    try {
        for (int i = 1; i < threads; ++i) helpers.emplace_back(some);
    } catch (const std::exception &) {
        // No more threads are to be had: those there are do all the work.
    }
    some();
    for (auto &helper : helpers) helper.join();
    return 0;
}
