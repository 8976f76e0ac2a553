// CUDA C++ compiled as host C++: enough to run a kernel's own source text on the CPU.
//
// One fiber per CUDA thread. The fibers of a block take turns: __syncthreads() and the warp shuffles
// hand over to the next fiber, everything else runs on. Blocks run one after another, so a static
// variable serves as the block's __shared__ memory.
//
// A kernel may also be called directly, as the only thread of the only block; CuPy's elementwise
// kernels stride over the whole array then.
//
// Not modelled: warps in lockstep, memory ordering between blocks, fused multiply-add, half types.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <vector>

// Float in, float out, as in CUDA: without these, `erf(x)` would be C's function of doubles.
using std::abs, std::fabs, std::max, std::min, std::fmax, std::fmin, std::fmod, std::copysign;
using std::sqrt, std::cbrt, std::pow, std::hypot, std::exp, std::exp2, std::expm1;
using std::log, std::log2, std::log10, std::log1p, std::erf, std::erfc, std::lgamma, std::tgamma;
using std::sin, std::cos, std::tan, std::asin, std::acos, std::atan, std::atan2;
using std::sinh, std::cosh, std::tanh, std::asinh, std::acosh, std::atanh;
using std::floor, std::ceil, std::round, std::rint, std::trunc;
using std::isnan, std::isinf, std::isfinite, std::signbit;

// CUDA's run-time compiler has no headers, and not these.
#undef INFINITY
#undef NAN

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static

// --- built-in variables and vector types ---------------------------------------------------------

struct ThreadIndex {
    unsigned x, y, z;
};
static ThreadIndex threadIdx{0, 0, 0}, blockIdx{0, 0, 0}, blockDim{1, 1, 1}, gridDim{1, 1, 1};
static const int warpSize = 32;

struct alignas(16) float4 {
    float x, y, z, w;
};

// --- fibers --------------------------------------------------------------------------------------

namespace emulator {

struct Fiber {
    std::vector<char> stack;
    jmp_buf point;                          // where it goes on
    ThreadIndex index;
    bool started, done;
    unsigned shuffles;                      // how many it has made
};

static std::deque<Fiber> fibers;            // once started, a fiber serves every later block
static jmp_buf scheduler;
static size_t current;
static std::function<void()> body;
static std::vector<uint64_t> mailbox;       // two slots per thread, for the shuffles

static void yield() {
    if (!_setjmp(fibers[current].point)) _longjmp(scheduler, 1);
}

static void fiber_main() {
    for (;;) {
        body();
        fibers[current].done = true;
        yield();
    }
}

// Let the current fiber run until it yields. Jumps, unlike swapcontext, make no system call.
static void resume() {
    Fiber& fiber = fibers[current];
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.point, 1);
    fiber.started = true;
    fiber.stack.resize(64 * 1024);
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.data();
    context.uc_stack.ss_size = fiber.stack.size();
    context.uc_link = nullptr;
    makecontext(&context, fiber_main, 0);
    setcontext(&context);
}

// `backwards` lets the highest thread go first: a kernel whose result depends on that has a race.
static void run_block(ThreadIndex block, bool backwards) {
    const size_t count = size_t(blockDim.x) * blockDim.y * blockDim.z;
    if (fibers.size() < count) fibers.resize(count);
    mailbox.resize(2 * count);
    for (size_t i = 0; i < count; ++i) {
        fibers[i].done = false;
        fibers[i].shuffles = 0;
        fibers[i].index = {unsigned(i % blockDim.x), unsigned(i / blockDim.x % blockDim.y),
                           unsigned(i / (size_t(blockDim.x) * blockDim.y))};
    }
    blockIdx = block;
    for (bool alive = true; alive;) {
        alive = false;
        for (size_t i = 0; i < count; ++i) {
            current = backwards ? count - 1 - i : i;
            if (fibers[current].done) continue;
            threadIdx = fibers[current].index;
            resume();
            alive |= !fibers[current].done;
        }
    }
}

static void launch(const unsigned grid[3], const unsigned block[3], bool backwards,
                   std::function<void()> kernel) {
    body = kernel;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) run_block({x, y, z}, backwards);
}

}  // namespace emulator

// --- barriers, shuffles, atomics -----------------------------------------------------------------

static inline void __syncthreads() { emulator::yield(); }
static inline void __syncwarp(unsigned = ~0u) { emulator::yield(); }

template <class T>
static T emulated_shuffle(T value, int lane) {
    const size_t me = emulator::current;
    const size_t turn = emulator::fibers[me].shuffles++ % 2;    // others may still read the last
    memcpy(&emulator::mailbox[2 * me + turn], &value, sizeof value);
    emulator::yield();                      // until every lane has posted
    T result;
    memcpy(&result, &emulator::mailbox[2 * ((me & ~size_t(31)) + lane) + turn], sizeof result);
    return result;
}

template <class T>
static T __shfl_sync(unsigned, T value, int lane) {
    return emulated_shuffle(value, lane & 31);
}

template <class T>
static T __shfl_down_sync(unsigned, T value, int delta) {
    const int lane = int(emulator::current & 31);
    return emulated_shuffle(value, lane + delta < 32 ? lane + delta : lane);
}

template <class T>
static T __shfl_xor_sync(unsigned, T value, int mask) {
    return emulated_shuffle(value, int(emulator::current & 31) ^ mask);
}

template <class T>
static T atomicAdd(T* address, T value) {
    const T old = *address;
    *address += value;
    return old;
}

// --- arithmetic ----------------------------------------------------------------------------------

static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return unsigned(uint64_t(a) * b >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline float rsqrtf(float v) { return 1.f / std::sqrt(v); }
static inline float rsqrt(float v) { return 1.f / std::sqrt(v); }
static inline double rsqrt(double v) { return 1. / std::sqrt(v); }
template <class T>
static inline T __ldg(const T* address) {
    return *address;
}

template <class To, class From>
static inline To emulated_bit_cast(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline int __float_as_int(float v) { return emulated_bit_cast<int>(v); }
static inline unsigned __float_as_uint(float v) { return emulated_bit_cast<unsigned>(v); }
static inline float __int_as_float(int v) { return emulated_bit_cast<float>(v); }
static inline long long __double_as_longlong(double v) { return emulated_bit_cast<long long>(v); }
static inline double __longlong_as_double(long long v) { return emulated_bit_cast<double>(v); }
