"""The chain along rays, compiled for this CPU: built on first use where there is a compiler, done without elsewhere.

`rays.py` calls it, `weights.py` packs the network for it, `build.py` compiles it. `rays.cpp` shares the rays among
threads; the chain itself is `block.hpp`, which looks at each sample (`look.hpp`), then along rays and across views
(`attend.hpp`). The plane sweep of stereo is compiled along with it: `sweep.py`, `sweep.cpp`.
"""

from sray.kernel.build import NoKernel
from sray.kernel.rays import NativeRays

__all__ = ["NativeRays", "NoKernel"]
