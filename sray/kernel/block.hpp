// What a thread works with: one block of rays, from what Python hands over to what it gets back.

#pragma once

#include <algorithm>
#include <vector>

#include "network.hpp"

namespace sray {

class Block {
public:
    Block(const Scene &scene, const Network &network, const Layers &layers, int samples)
        : scene(scene), network(network), layers(layers), views(scene.views), samples(samples),
          tokens(views * samples * CHANNELS), valid(views * samples), present(views * samples),
          view_weights(views * samples),
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
    std::vector<char> present;        // (views, samples): whether the view sees the sample of any lane; else it is left out
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

    // look.hpp: what is known of a sample by itself.
    template <Purpose purpose>
    void look(int s);
    static Lanes log_variance(Lanes variance, Mask alone);
    static void normalize(Lanes *vector);
    void compare_directions(int v, const Lanes *point, const Lanes *target, Lanes *difference) const;
    void find_views(int s, const Lanes *point);
    Lanes project(int v, const Lanes *point, Lanes &is_inside);
    Lanes look_at_surface(int v, Lanes depth_there);
    void sample(int v, Lanes *feature, Lanes *color) const;
    template <int COUNT>
    static void interpolate(const float *image, int rows, int columns, Lanes x, Lanes y, Lanes *values);
    Lanes score_view(int v, const Lanes *token, const Lanes *difference, Lanes is_valid) const;
    void blend_colors(int s);
    void bound_view_weights(int s);

    // attend.hpp: what the samples of a ray, and the views, know of each other.
    void work_out_weights();
    Lanes step(int s) const;
    void attend_along_rays();
    void take_in(const Attention<CHANNELS> &attention, const Lanes *collected, Lanes any, Lanes *token) const;
    void place_samples();
    void attend_across_views(Lanes *semantic);
    void composite(Lanes *semantic) const;
};

}  // namespace sray
