// The plane sweep of sray/stereo/sweep.py: how well partners agree with a keyframe at each of several depths.
//
// The plain version warps all features of a partner to every plane before it compares them; here what is read of a
// partner is used at once. Where cells look is found for LANES cells together, and so are their correlations' sums.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "vector.hpp"

extern "C" {

// Features are channels last, float32; `channels` a multiple of 16, or 8. There are two rows and columns at least.
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

inline Lanes load(const float *from) {
    Lanes value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

// Of `count` cells; the other lanes are 0.
inline Lanes load(const float *from, int count) {
    if (count == LANES) return load(from);  // all but the last cells: a copy of unknown size is a call
    Lanes value = all(0);
    std::memcpy(&value, from, sizeof(float) * size_t(count));
    return value;
}

inline void store(float *to, Lanes value, int count) { std::memcpy(to, &value, sizeof(float) * size_t(count)); }

// Where LANES cells look in a partner's map: its cell up and to the left of each, and the way from there, in cells.
struct Places {
    Mask cell;
    Lanes right, low;
};

inline Places places(const Sweep &work, Lanes x, Lanes y) {
    x = clamp(x, 0, float(work.columns - 1));
    y = clamp(y, 0, float(work.rows - 1));
    // The last column and row are looked at from the ones before them: there is always a neighbor.
    const Mask left = integer(clamp(x, 0, float(work.columns - 2))), top = integer(clamp(y, 0, float(work.rows - 2)));
    return {top * work.columns + left, x - real(left), y - real(top)};
}

// A cell's features; twice where PAIRS: where a register holds two cells.
struct Own {
    const float *features;
    Lanes twice;
};

template <bool PAIRS>
inline Own own_features(const Sweep &work, int cell) {
    Own own{work.reference + size_t(cell) * work.channels, all(0)};
    if constexpr (PAIRS)
        for (int lane = 0; lane < LANES; ++lane) own.twice[lane] = own.features[lane % (LANES / 2)];
    return own;
}

// The products of a cell's features with those between four cells of `map`, to be summed over the lanes.
template <bool PAIRS>
inline Lanes products(const Sweep &work, const Own &own, const float *map, float right, float low) {
    const float *below = map + size_t(work.columns) * work.channels;
    if constexpr (PAIRS) {  // a left cell and its right neighbor
        Mask is_right;
        for (int lane = 0; lane < LANES; ++lane) is_right[lane] = lane < LANES / 2 ? 0 : -1;
        const Lanes above = load(map), both = above + (load(below) - above) * low;
        return both * own.twice * (is_right ? all(right) : all(1 - right));
    }
    Lanes sum = all(0);
    for (int c = 0; c < work.channels; c += LANES) {
        const float *beside = map + work.channels + c, *opposite = below + work.channels + c;
        const Lanes upper = load(map + c) * (1 - right) + load(beside) * right;
        const Lanes lower = load(below + c) * (1 - right) + load(opposite) * right;
        sum += (upper * (1 - low) + lower * low) * load(own.features + c);
    }
    return sum;
}

// Cells `first` to `first + count`, LANES at most.
template <bool PAIRS>
void sweep_cells(const Sweep &work, int first, int count) {
    const size_t cells = size_t(work.rows) * work.columns, kind = cells * work.planes;
    const float cells_a_pixel = 1 / float(work.stride);
    Own own[LANES];
    for (int lane = 0; lane < LANES; ++lane) own[lane] = own_features<PAIRS>(work, first + std::min(lane, count - 1));
    for (int plane = 0; plane < work.planes; ++plane) {
        const float *depths = work.depths + size_t(plane) * work.depths_a_plane;
        const Lanes depth = work.depths_a_plane > 1 ? load(depths + first, count) : all(depths[0]);
        Lanes total = all(0), best = all(-1), seen = all(0);
        for (int view = 0; view < work.views; ++view) {
            const float *slope = work.slope + size_t(view) * 3 * cells + first, *start = work.start + 3 * view;
            const Lanes z = start[2] + depth * load(slope + 2 * cells, count), scale = 1 / z;
            const Lanes u = (start[0] + depth * load(slope, count)) * scale;
            const Lanes v = (start[1] + depth * load(slope + cells, count)) * scale;
            const Mask sees = (z > all(1e-3f)) & (u >= all(-0.5f)) & (u < all(float(work.width) - 0.5f)) &
                              (v >= all(-0.5f)) & (v < all(float(work.height) - 0.5f));
            if (!some(sees)) continue;
            const float *map = work.partners + size_t(view) * cells * work.channels;
            const Places there = places(work, u * cells_a_pixel, v * cells_a_pixel);
            Lanes similar[LANES];
            for (int lane = 0; lane < LANES; ++lane) {
                const float *at = map + size_t(there.cell[lane]) * work.channels;
                similar[lane] = products<PAIRS>(work, own[lane], at, there.right[lane], there.low[lane]);
            }
            const Lanes correlation = row_sums(similar);
            total += sees ? correlation : all(0);
            best = sees ? max(best, correlation) : best;
            seen += sees ? all(1) : all(0);
        }
        const Mask any = seen > all(0);
        float *found = work.found + size_t(plane) * cells + first;
        store(found, any ? total / seen : all(0), count);
        store(found + kind, any ? best : all(0), count);
        store(found + 2 * kind, seen / float(std::max(1, work.views)), count);
    }
}

}  // namespace
}  // namespace sray

extern "C" int32_t sray_sweep(const Sweep *work, int32_t threads) {
    if (work->channels != 8 && work->channels % 16) return 1;
    if (work->rows < 2 || work->columns < 2) return 1;
    const auto sweep_cells = 2 * work->channels == sray::LANES ? sray::sweep_cells<true> : sray::sweep_cells<false>;
    constexpr int TOGETHER = 4 * sray::LANES;  // cells that a thread takes at a time
    const int cells = work->rows * work->columns;
    std::atomic<int> next{0};
    auto some = [&] {
        for (int first; (first = next.fetch_add(TOGETHER)) < cells;)
            for (int cell = first; cell < std::min(cells, first + TOGETHER); cell += sray::LANES)
                sweep_cells(*work, cell, std::min(sray::LANES, cells - cell));
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
