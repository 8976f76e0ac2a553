"""Small CUDA kernels that need what the emulator has to do right."""

PRODUCT = r"""
// c (m, n) = a (m, k) @ b (k, n). Grid (ceil(n / 16), ceil(m / 16)), block (16, 16).
extern "C" __global__ void product(const float* a, const float* b, float* c, int m, int n, int k) {
    __shared__ float a_tile[16][16];
    __shared__ float b_tile[16][17];        // one column more: no conflict between banks
    const int tx = threadIdx.x, ty = threadIdx.y;
    const int row = blockIdx.y * 16 + ty, column = blockIdx.x * 16 + tx;
    float sum = 0.f;
    for (int start = 0; start < k; start += 16) {
        a_tile[ty][tx] = row < m && start + tx < k ? a[row * k + start + tx] : 0.f;
        b_tile[ty][tx] = column < n && start + ty < k ? b[(start + ty) * n + column] : 0.f;
        __syncthreads();                    // the tiles are complete
        for (int i = 0; i < 16; ++i) sum += a_tile[ty][i] * b_tile[i][tx];
        __syncthreads();                    // nobody reads them any more
    }
    if (row < m && column < n) c[row * n + column] = sum;
}
"""

TOTAL = r"""
// total (1,), which holds zero, += the sum of x (n,). One number for each thread.
typedef double T;
extern "C" __global__ void total(const T* __restrict__ x, T* total, long long n) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    T sum = i < n ? x[i] : T(0);
    for (int step = 16; step; step >>= 1) sum += __shfl_xor_sync(~0u, sum, step);
    if (threadIdx.x % 32 == 0) atomicAdd(total, sum);
}
"""
