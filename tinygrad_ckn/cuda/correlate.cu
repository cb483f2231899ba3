// Correlation of single channels: each filter sees one channel (depthwise, or images with one channel).
//
// x (n, channels, h, w), filters w (filters, kh, kw), y (n, filters, ho, wo); filter o sees channel
// o / (filters / channels). A block computes a tile of one map, blockDim.x wide and blockDim.y * rows high. It copies
// the input of the tile to shared memory, with zeros for the padding, followed by the filter. A thread computes `rows`
// outputs, blockDim.y apart, so that each weight is read once for all of them.
//
// Strides sh, sw, dilations dh, dw, padding top, left (negative: pixels at the edge are skipped). The input of a tile is
// span_h x span_w, in rows `pitch` apart.

template <typename T, int rows>
__global__ void correlate(const T* __restrict__ x, const T* __restrict__ filter, T* __restrict__ y, int channels,
                          int filters, int kh, int kw, int sh, int sw, int dh, int dw, int top, int left, int h, int w,
                          int ho, int wo, int span_h, int span_w, int pitch)
{
    extern __shared__ __align__(16) unsigned char memory[];
    T* covered = reinterpret_cast<T*>(memory);
    T* weights = covered + span_h * pitch;

    const int high = blockDim.y * rows, wide = blockDim.x;
    const int across = (wo + wide - 1) / wide, down = (ho + high - 1) / high;
    const int tile = blockIdx.x % (across * down), map = blockIdx.x / (across * down);
    const int channel = map / filters * channels + map % filters / (filters / channels);
    const int y0 = tile / across * high, x0 = tile % across * wide;
    const T* image = x + (long long)channel * h * w;

    for (int r = threadIdx.y; r < span_h; r += blockDim.y) {
        const int row = y0 * sh - top + r;
        for (int c = threadIdx.x; c < span_w; c += wide) {
            const int col = x0 * sw - left + c;
            const bool inside = row >= 0 && row < h && col >= 0 && col < w;
            covered[r * pitch + c] = inside ? image[row * w + col] : T(0);
        }
    }
    for (int t = threadIdx.y * wide + threadIdx.x; t < kh * kw; t += blockDim.y * wide)
        weights[t] = filter[map % filters * kh * kw + t];
    __syncthreads();

    T sums[rows] = {};
    const T* corner = covered + threadIdx.y * sh * pitch + threadIdx.x * sw;
    // distance between the inputs of consecutive outputs of a thread
    const int next = blockDim.y * sh * pitch;
    for (int a = 0; a < kh; ++a)
        for (int b = 0; b < kw; ++b) {
            const T weight = weights[a * kw + b];
#pragma unroll
            for (int r = 0; r < rows; ++r)
                sums[r] += weight * corner[r * next + a * dh * pitch + b * dw];
        }

    const int col = x0 + threadIdx.x;
#pragma unroll
    for (int r = 0; r < rows; ++r) {
        const int row = y0 + r * blockDim.y + threadIdx.y;
        if (row < ho && col < wo)
            y[(long long)map * ho * wo + row * wo + col] = sums[r];
    }
}
