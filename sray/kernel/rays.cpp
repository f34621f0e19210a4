// The network along rays, one ray per lane: reprojection, context space, geometry, attention, view weights, compositing.
//
// One block of LANES rays goes through the whole chain while its activations stay in the processor's cache; as separate
// tensor operations each step would read and write all of them in memory. The plain version is sray/model.py, and
// test/unit/test_kernel.py holds the two together. Nothing here is trained: gradients are the plain version's business.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <new>
#include <thread>
#include <vector>

#include "layers.hpp"

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

// What a thread works with: one block of rays.
class Block {
public:
    Block(const Scene &scene, const Network &network, const Layers &layers, int samples)
        : scene(scene), network(network), layers(layers), views(scene.views), samples(samples),
          tokens(views * samples * CHANNELS), valid(views * samples), view_weights(views * samples),
          along_ray(samples * RAY_CHANNELS), seen(samples), colors(samples * 3), weights(samples),
          coordinate(samples), depth(samples), positions(samples * CHANNELS),
          projected(std::max(views, samples) * 3 * CHANNELS), gathered(std::max(views, samples) * CHANNELS),
          scores(std::max(views, samples)), bias(std::max(views, samples)), tap(views * 3), blend(views),
          column(views), row(views), sight(views * SIGHT) {}

    void render(const Rays &rays, int first, const Found &found) {
        const int count = std::min(LANES, rays.rays - first);
        read(rays, first, count);
        if (found.weights == nullptr) {
            look<TINT>(0);
            write(found.color, first, count, 3, colors.data());
            return;
        }
        const bool shade = found.semantic != nullptr;
        for (int s = 0; s < samples; ++s) shade ? look<SHADE>(s) : look<LOOK>(s);
        work_out_weights();
        write(found.weights, first, count, samples, weights.data());
        if (!shade) return;

        Lanes opacity = all(0), distance = all(0), coverage = all(0), color[3] = {};
        for (int s = 0; s < samples; ++s) {
            Lanes seen_by = all(0);
            for (int v = 0; v < views; ++v) seen_by += valid[v * samples + s];
            opacity += weights[s];
            distance += weights[s] * depth[s];
            coverage += weights[s] * seen_by;
            for (int c = 0; c < 3; ++c) color[c] += weights[s] * colors[s * 3 + c];
        }
        const Lanes inverse = 1.0f / max(opacity, all(1e-6f));
        distance *= inverse;
        coverage *= inverse;
        if (network.radial) attend_along_rays();
        Lanes semantic[CHANNELS];
        network.cross_view ? attend_across_views(semantic) : composite(semantic);
        write(found.opacity, first, count, 1, &opacity);
        write(found.depth, first, count, 1, &distance);
        write(found.coverage, first, count, 1, &coverage);
        write(found.color, first, count, 3, color);
        write(found.semantic, first, count, CHANNELS, semantic);
    }

private:
    const Scene &scene;
    const Network &network;
    const Layers &layers;
    const int views, samples;
    Lanes direction[3];
    std::vector<Lanes> tokens;        // (views, samples, channels): M
    std::vector<Lanes> valid;         // (views, samples): 1 where the view sees the sample, else 0
    std::vector<Lanes> view_weights;  // (views, samples)
    std::vector<Lanes> along_ray;     // (samples, ray channels)
    std::vector<Lanes> seen;          // (samples): 1 where any view sees the sample
    std::vector<Lanes> colors;        // (samples, 3)
    std::vector<Lanes> weights, coordinate, depth;  // (samples)
    std::vector<Lanes> positions;     // (samples, channels)
    std::vector<Lanes> projected, gathered, scores, bias, tap, blend;
    std::vector<Lanes> column, row;   // (views): where one sample falls, pixels
    std::vector<Lanes> sight;         // (views, 2): soft visibility of one sample, its distance from the view's surface

    void read(const Rays &rays, int first, int count) {
        for (int lane = 0; lane < LANES; ++lane) {
            const int ray = first + std::min(lane, count - 1);  // lanes left over repeat the last ray
            for (int axis = 0; axis < 3; ++axis) direction[axis][lane] = rays.directions[ray * 3 + axis];
            for (int s = 0; s < samples; ++s) {
                coordinate[s][lane] = rays.coordinates[ray * samples + s];
                depth[s][lane] = rays.depths[ray * samples + s];
            }
        }
    }

    static void write(float *to, int first, int count, int values, const Lanes *from) {
        if (to == nullptr) return;
        for (int lane = 0; lane < count; ++lane)
            for (int i = 0; i < values; ++i) to[(first + lane) * values + i] = from[i][lane];
    }

    enum Purpose { LOOK, SHADE, TINT };

    // Everything about one sample that needs no other sample: M, its statistics over the views, color, view weights.
    template <Purpose purpose>
    void look(int s) {
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
            sample(v, feature, color);
            const Lanes is_valid = valid[v * samples + s];
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

    static Lanes log_variance(Lanes variance, Mask alone) {
        return alone ? all(0) : log(variance + 1e-4f) * (1.0f / 3) + 1.5f;
    }

    static void normalize(Lanes *vector) {
        const Lanes length = sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]);
        const Lanes inverse = 1.0f / max(length, all(1e-12f));
        for (int axis = 0; axis < 3; ++axis) vector[axis] *= inverse;
    }

    // Table 12, input 2.
    void compare_directions(int v, const Lanes *point, const Lanes *target, Lanes *difference) const {
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
    void find_views(int s, const Lanes *point) {
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
    Lanes project(int v, const Lanes *point, Lanes &is_inside) {
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
    Lanes look_at_surface(int v, Lanes depth_there) {
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
    void sample(int v, Lanes *feature, Lanes *color) const {
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
    static void interpolate(const float *image, int rows, int columns, Lanes x, Lanes y, Lanes *values) {
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
    Lanes score_view(int v, const Lanes *token, const Lanes *difference, Lanes is_valid) const {
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
    void blend_colors(int s) {
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

    void bound_view_weights(int s) {
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

    // Table 15, L9-L11, and eq. 2's weights.
    void work_out_weights() {
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

    Lanes step(int s) const {
        if (samples == 1) return all(STEP_SCALE);
        const int from = std::min(s, samples - 2);  // the last step equals the one before it
        return STEP_SCALE * (coordinate[from + 1] - coordinate[from]);
    }

    // Eq. 6-9: per view, the samples of its reprojected ray attend to each other.
    void attend_along_rays() {
        place_samples();
        for (int v = 0; v < views; ++v) {
            Lanes any = all(0);
            for (int s = 0; s < samples; ++s) {
                const Lanes is_valid = valid[v * samples + s];
                any = max(any, is_valid);
                bias[s] = (1.0f - is_valid) * ABSENT;
                Lanes placed[CHANNELS];
                const Lanes *token = &tokens[(v * samples + s) * CHANNELS];
                for (int c = 0; c < CHANNELS; ++c) placed[c] = token[c] + positions[s * CHANNELS + c];
                if (network.residual) layers.radial_norm(placed, placed);
                layers.radial.project(placed, &projected[s * 3 * CHANNELS]);
            }
            Attention<CHANNELS>::gather(projected.data(), bias.data(), samples, gathered.data(), scores.data());
            for (int s = 0; s < samples; ++s)
                take_in(layers.radial, &gathered[s * CHANNELS], any, &tokens[(v * samples + s) * CHANNELS]);
        }
    }

    void take_in(const Attention<CHANNELS> &attention, const Lanes *collected, Lanes any, Lanes *token) const {
        Lanes mixed[CHANNELS];
        attention.output(collected, mixed);
        for (int c = 0; c < CHANNELS; ++c) token[c] = network.residual ? token[c] + mixed[c] * any : relu(mixed[c] * any);
    }

    // Fixed sinusoids of the coordinate: sines in the first half, cosines in the second.
    void place_samples() {
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
    void attend_across_views(Lanes *semantic) {
        Lanes collected[CHANNELS], total = all(0);
        for (int c = 0; c < CHANNELS; ++c) semantic[c] = collected[c] = all(0);
        for (int s = 0; s < samples; ++s) {
            for (int v = 0; v < views; ++v) {
                const Lanes *token = &tokens[(v * samples + s) * CHANNELS];
                Lanes normed[CHANNELS];
                bias[v] = (1.0f - valid[v * samples + s]) * ABSENT;
                if (network.residual) layers.cross_norm(token, normed), token = normed;
                layers.cross.project(token, &projected[v * 3 * CHANNELS]);
            }
            Attention<CHANNELS>::gather(projected.data(), bias.data(), views, gathered.data(), scores.data());
            for (int v = 0; v < views; ++v) {
                Lanes *token = &tokens[(v * samples + s) * CHANNELS];
                const Lanes weight = weights[s] * view_weights[v * samples + s];
                if (network.residual) {
                    const Lanes share = weight * seen[s];
                    total += share;
                    for (int c = 0; c < CHANNELS; ++c) collected[c] += share * gathered[v * CHANNELS + c];
                } else {
                    take_in(layers.cross, &gathered[v * CHANNELS], seen[s], token);
                }
                for (int c = 0; c < CHANNELS; ++c) semantic[c] += weight * token[c];
            }
        }
        if (!network.residual) return;
        Lanes mixed[CHANNELS];
        layers.cross.output(collected, mixed);
        for (int c = 0; c < CHANNELS; ++c) semantic[c] += mixed[c] + (total - 1.0f) * layers.cross.output.bias[c];
    }

    void composite(Lanes *semantic) const {
        for (int c = 0; c < CHANNELS; ++c) semantic[c] = all(0);
        for (int v = 0; v < views; ++v)
            for (int s = 0; s < samples; ++s) {
                const Lanes weight = weights[s] * view_weights[v * samples + s];
                for (int c = 0; c < CHANNELS; ++c) semantic[c] += weight * tokens[(v * samples + s) * CHANNELS + c];
            }
    }
};

}  // namespace sray

// 0; 1: the weights are not those of such a network; 2: out of memory.
extern "C" int32_t sray_render(const Scene *scene, const Network *network, const Rays *rays, const Found *found,
                               int32_t threads) {
    const sray::Layers layers(*network);
    if (!layers.fits) return 1;
    std::atomic<int> next{0}, status{0};
    auto work = [&] {
        try {
            sray::Block block(*scene, *network, layers, rays->samples);
            for (int first; status == 0 && (first = next.fetch_add(sray::LANES)) < rays->rays;)
                block.render(*rays, first, *found);
        } catch (const std::bad_alloc &) {
            status = 2;
        }
    };
    const int blocks = (rays->rays + sray::LANES - 1) / sray::LANES;
    std::vector<std::thread> helpers;
    try {
        for (int i = 1; i < std::min<int>(threads, blocks); ++i) helpers.emplace_back(work);
    } catch (const std::exception &) {
        // No more threads are to be had: those there are do all the work.
    }
    work();
    for (auto &helper : helpers) helper.join();
    return status;
}
