// What Python hands over and gets back: the structs of rays.py, and the sizes of the network.

#pragma once

#include <cstdint>

namespace sray {

constexpr int CHANNELS = 32, DIRECTIONS = 4, RAY_CHANNELS = 16, STATISTICS = 8, SIGHT = 2, POOLED = 2 * CHANNELS;
constexpr float ABSENT = -1e30f;
constexpr float STEP_SCALE = 64.0f, POSITION_SCALE = 64.0f;
// Of sray/visibility.py.
constexpr float TOLERANCE = 0.02f, RELATIVE_TOLERANCE = 0.02f, SHARPNESS = 4.0f, HIDDEN = 2.0f, REACH = 3.0f;

}  // namespace sray

extern "C" {

// Source views after the encoder. Channels last, float32.
struct Scene {
    int32_t views, rows, columns, height, width;
    float reading_scale[2];   // width and height at which the encoder read the pictures, over the pictures' own
    const float *features;    // (views, rows, columns, 32)
    const float *images;      // (views, height, width, 4): RGB in 0..1 and padding
    const float *projection;  // (views, 3, 4): K (R | t)
    const float *centers;     // (views, 3)
    const float *origin;      // (3): the target camera's center
    const float *surfaces;    // (views, height, width, 2): depth in meters, confidence; 0 where unknown. Null: all is.
};

struct Network {
    int32_t count, radial, cross_view, residual, statistics;
    int32_t mask, sight;  // views that a sample is hidden from do not count; how well each sees it is told
    float tau;
    const float *weights;  // (count)
};

struct Rays {
    int32_t rays, samples;
    const float *directions;   // (rays, 3), camera z = 1
    const float *coordinates;  // (rays, samples), ascending in 0..1
    const float *depths;       // (rays, samples), meters
};

// What is null is not worked out: `weights` alone looks for surfaces, `color` alone tints the first sample.
struct Found {
    float *weights;   // (rays, samples)
    float *semantic;  // (rays, 32)
    float *color;     // (rays, 3)
    float *depth, *opacity, *coverage;
};
}
