// y = R x C^T for every plane, with banded matrices R and C: Gaussian pooling, of any subsampling, and its adjoint.
//
// x (planes, h, w), y (planes, ho, wo). A band is given by the column at which each row of it starts, and by its
// weights, tap by tap: R[i, row_starts[i] + t] = row_weights[t * ho + i], and C likewise with wo; starts never decrease.
//
// The rows of all planes are one sequence of `rows` = planes * ho. A block has a tile of them, `tile` rows by
// blockDim.x columns. First it takes means along columns, reading x in its own order, for the `span` columns of x that
// its outputs need; these lie in shared memory, from where it takes means along rows. There neighbouring threads read
// elements as far apart as the subsampling. Where that would be few banks, a multiple of 4 most often, each 2^skew
// elements begin one element later; where not, skew is 31.

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
    T* half = reinterpret_cast<T*>(memory);  // (tile, span), rows `pitch` apart

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
                if (weight != 0)  // NaN is not seen by weight 0
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
