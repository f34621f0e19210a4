// Lanes: as many floats as a register holds, and the functions the network needs on them.
//
// Everything is written on the compiler's own vector types, so the same source serves AVX-512, AVX2 and NEON.
#pragma once

#include <cstdint>
#include <cstring>

namespace sray {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t Mask __attribute__((vector_size(4 * LANES)));  // -1 where true

inline Lanes all(float value) { return Lanes{} + value; }
inline Lanes max(Lanes a, Lanes b) { return a > b ? a : b; }
// A NaN becomes the bound, which is what a coordinate that means nothing should be.
inline Lanes clamp(Lanes x, float low, float high) {
    x = x > all(low) ? x : all(low);
    return x < all(high) ? x : all(high);
}
inline Lanes bits(Mask x) {
    Lanes y;
    std::memcpy(&y, &x, sizeof y);
    return y;
}
inline Mask bits(Lanes x) {
    Mask y;
    std::memcpy(&y, &x, sizeof y);
    return y;
}
inline bool some(Mask x) {
    int32_t either = 0;
    for (int lane = 0; lane < LANES; ++lane) either |= x[lane];
    return either != 0;
}
inline Mask integer(Lanes x) { return __builtin_convertvector(x, Mask); }
inline Lanes real(Mask x) { return __builtin_convertvector(x, Lanes); }
inline Lanes round(Lanes x) {
    const Lanes magic = all(12582912.0f);  // 1.5 * 2^23: adding it leaves no room for a fraction
    return (x + magic) - magic;
}
inline Lanes sqrt(Lanes x) {
    for (int lane = 0; lane < LANES; ++lane) x[lane] = __builtin_sqrtf(x[lane]);
    return x;
}

// Relative error about 2e-7 between the clamps.
inline Lanes exp(Lanes x) {
    x = clamp(x, -87.0f, 88.0f);
    const Lanes n = round(x * 1.44269504f);
    const Lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Lanes p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * bits((integer(n) + 127) << 23);
}

// For positive, normal x.
inline Lanes log(Lanes x) {
    Mask exponent = ((bits(x) >> 23) & 255) - 126;
    Lanes m = bits((bits(x) & 0x007fffff) | 0x3f000000);  // 0.5 <= m < 1
    const Mask small = m < all(0.707106781f);
    exponent += small;
    m = small ? m + m - 1.0f : m - 1.0f;
    Lanes p = all(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    const Lanes square = m * m, e = real(exponent);
    return m + (m * square * p - 0.5f * square - e * 2.12194440e-4f) + e * 0.693359375f;
}

// For |x| up to a few hundred.
inline void sine_cosine(Lanes x, Lanes &sine, Lanes &cosine) {
    const Lanes n = round(x * 0.636619772f);
    const Lanes r = ((x - n * 1.5703125f) - n * 4.8375129699707e-4f) - n * 7.5495e-8f;
    const Lanes square = r * r;
    Lanes s = all(-1.9515295891e-4f);
    s = s * square + 8.3321608736e-3f;
    s = s * square - 1.6666654611e-1f;
    s = s * square * r + r;
    Lanes c = all(2.443315711809948e-5f);
    c = c * square - 1.388731625493765e-3f;
    c = c * square + 4.166664568298827e-2f;
    c = c * square * square - 0.5f * square + 1.0f;
    const Mask quadrant = integer(n);
    const Mask swap = (quadrant & 1) != 0;
    sine = swap ? c : s;
    cosine = swap ? s : c;
    sine = (quadrant & 2) != 0 ? -sine : sine;
    cosine = ((quadrant + 1) & 2) != 0 ? -cosine : cosine;
}

inline Lanes elu(Lanes x) { return x > all(0) ? x : exp(x) - 1.0f; }
inline Lanes relu(Lanes x) { return max(x, all(0)); }
inline Lanes sigmoid(Lanes x) { return 1.0f / (1.0f + exp(-x)); }

// Which elements of two rows make a new one: every `half` of the first beside the same of the second, or the rest.
struct Halves {
    Mask upper, lower;
};

inline Halves halves(int half) {
    Halves taken;
    for (int j = 0; j < LANES; ++j) {
        taken.upper[j] = (j & half) ? LANES + j - half : j;
        taken.lower[j] = (j & half) ? LANES + j : j + half;
    }
    return taken;
}

// Rows become columns, in place.
inline void transpose(Lanes *rows) {
#if defined(__clang__)
    float from[LANES][LANES];
    std::memcpy(from, rows, sizeof from);
    for (int i = 0; i < LANES; ++i)
        for (int j = 0; j < LANES; ++j) rows[i][j] = from[j][i];
#else
    for (int half = LANES / 2; half >= 1; half /= 2) {
        const Halves taken = halves(half);
        for (int i = 0; i < LANES; ++i) {
            if (i & half) continue;
            const Lanes a = rows[i], b = rows[i + half];
            rows[i] = __builtin_shuffle(a, b, taken.upper);
            rows[i + half] = __builtin_shuffle(a, b, taken.lower);
        }
    }
#endif
}

// The sum of row i in lane i. Overwrites the rows.
inline Lanes row_sums(Lanes *rows) {
#if defined(__clang__)
    transpose(rows);
    for (int i = 1; i < LANES; ++i) rows[0] += rows[i];
#else
    // Two rows become one, in which each has half of the lanes: half of what a transpose moves.
    for (int half = LANES / 2; half >= 1; half /= 2) {
        const Halves taken = halves(half);
        for (int i = 0; i < half; ++i) {
            const Lanes a = rows[i], b = rows[i + half];
            rows[i] = __builtin_shuffle(a, b, taken.upper) + __builtin_shuffle(a, b, taken.lower);
        }
    }
#endif
    return rows[0];
}

}  // namespace sray
