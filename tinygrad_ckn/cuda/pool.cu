// y = R x C^T for every plane, with banded matrices R and C: Gaussian pooling with any subsampling, and its adjoint.
//
// x (planes, h, w), y (planes, ho, wo). A band consists of the first column of each row and of the weights, tap by tap:
// R[i, row_starts[i] + t] = row_weights[t * ho + i], and C likewise with wo; starts never decrease.
//
// The rows of all planes form one sequence of `rows` = planes * ho. A block computes a tile, `tile` rows by blockDim.x
// columns. It first averages along columns, reading x in memory order, for the `span` columns of x that its outputs
// depend on. The results are kept in shared memory, where it averages along rows. There, neighbouring threads read
// elements that are one subsampling step apart. If these lie in few banks, mostly for multiples of 4, every 2^skew
// elements are followed by a gap of one element; otherwise skew is 31.

__device__ int skewed(int col, int skew)
{
    return col + (col >> skew);
}

template <typename T>
__global__ void banded(const T* __restrict__ x, T* __restrict__ y, const int* __restrict__ row_starts,
                       const T* __restrict__ row_weights, int row_taps, const int* __restrict__ col_starts,
                       const T* __restrict__ col_weights, int col_taps, int rows, int h, int w, int ho, int wo,
                       int tile, int span, int pitch, int skew)
{
    extern __shared__ __align__(16) unsigned char memory[];
    // (tile, span), rows `pitch` apart
    T* half = reinterpret_cast<T*>(memory);

    const int wide = blockDim.x, across = (wo + wide - 1) / wide;
    const int first_row = blockIdx.x / across * tile, first_col = blockIdx.x % across * wide;
    const int start = col_starts[first_col];

    for (int r = threadIdx.y; r < tile; r += blockDim.y) {
        const int row = first_row + r;
        if (row >= rows)
            break;
        const int i = row % ho;
        const T* above = x + ((long long)(row / ho) * h + row_starts[i]) * w + start;
        for (int c = threadIdx.x; c < span && start + c < w; c += wide) {
            T sum = 0;
            for (int t = 0; t < row_taps; ++t) {
                const T weight = row_weights[t * ho + i], value = above[t * w + c];
                // A weight of 0 ignores NaN.
                if (weight != 0)
                    sum += weight * value;
            }
            half[r * pitch + skewed(c, skew)] = sum;
        }
    }
    __syncthreads();

    const int j = first_col + threadIdx.x;
    if (j >= wo)
        return;
    const int from = col_starts[j] - start;
    for (int r = threadIdx.y; r < tile && first_row + r < rows; r += blockDim.y) {
        T sum = 0;
        for (int t = 0; t < col_taps; ++t) {
            const T weight = col_weights[t * wo + j], value = half[r * pitch + skewed(from + t, skew)];
            if (weight != 0)
                sum += weight * value;
        }
        y[(long long)(first_row + r) * wo + j] = sum;
    }
}
