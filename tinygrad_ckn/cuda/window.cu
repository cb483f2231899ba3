// unfold and its adjoint fold: images to columns of patches and back.
//
// Images (planes, h, w), planes = N * C; columns (planes, kh * kw, ho * wo), kernel kh x kw, strides sh, sw, dilations
// dh, dw, and the padding top, left that windows begin with. A thread has one position of a window in unfold, and
// writes its taps; it has one pixel in fold, and gathers what the windows over it hold, so sums have a fixed order.
// Neighbouring threads have neighbouring positions: reads and writes are coalesced where sw is 1, writes always.

template <typename T>
__global__ void unfold(const T* __restrict__ x, T* __restrict__ columns, int positions, int kh, int kw, int sh, int sw,
                       int dh, int dw, int top, int left, int h, int w, int ho, int wo)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= positions)
        return;
    const int length = ho * wo, plane = i / length, at = i % length;
    const int y0 = at / wo * sh - top, x0 = at % wo * sw - left;
    const T* image = x + (long long)plane * h * w;
    T* column = columns + (long long)plane * kh * kw * length + at;
    for (int a = 0; a < kh; ++a) {
        const int row = y0 + a * dh;
        for (int b = 0; b < kw; ++b, column += length) {
            const int col = x0 + b * dw;
            const bool inside = row >= 0 && row < h && col >= 0 && col < w;
            *column = inside ? image[row * w + col] : T(0);
        }
    }
}

// Which window has its tap at a distance `from` of the first window's start; -1 if none.
template <bool unit>
__device__ int window_at(int from, int stride, int count)
{
    if (from < 0)
        return -1;
    const int window = unit ? from : from / stride;
    return window < count && (unit || window * stride == from) ? window : -1;
}

template <typename T, bool unit>  // unit: both strides are 1
__global__ void fold(const T* __restrict__ columns, T* __restrict__ x, int pixels, int kh, int kw, int sh, int sw,
                     int dh, int dw, int top, int left, int h, int w, int ho, int wo)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pixels)
        return;
    const int plane = i / (h * w), at = i % (h * w);
    const int y0 = at / w + top, x0 = at % w + left, length = ho * wo;
    const T* column = columns + (long long)plane * kh * kw * length;
    T sum = 0;
    for (int a = 0; a < kh; ++a) {
        const int row = window_at<unit>(y0 - a * dh, sh, ho);
        for (int b = 0; b < kw; ++b, column += length) {
            const int col = window_at<unit>(x0 - b * dw, sw, wo);
            if (row >= 0 && col >= 0)
                sum += column[row * wo + col];
        }
    }
    x[i] = sum;
}
