// The network along rays, one ray per lane: reprojection, context space, geometry, attention, view weights, compositing.
//
// One block of LANES rays goes through the whole chain while its activations stay in the processor's cache; as separate
// tensor operations each step would read and write all of them in memory. The plain version is sray/model.py, and
// test/unit/test_kernel.py holds the two together. Nothing here is trained: gradients are the plain version's business.

#include <atomic>
#include <exception>
#include <new>
#include <thread>
#include <vector>

#include "attend.hpp"
#include "block.hpp"
#include "look.hpp"

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
