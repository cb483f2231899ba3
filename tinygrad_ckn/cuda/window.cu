// unfold and its adjoint fold: images to columns of patches and back.
//
// Images (planes, h, w), planes = N * C; columns (planes, kh * kw, ho * wo); kernel kh x kw, strides sh, sw, dilations
// dh, dw, padding top, left. In unfold, each thread writes the taps of one window. In fold, each thread computes one
// pixel by gathering from all windows that contain it, so the order of its sum is fixed. Neighbouring threads handle
// neighbouring positions: writes are always coalesced, reads if sw is 1.

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

// Return the window that starts `from` elements after the first one; -1 if there is none.
template <bool unit>
__device__ int window_at(int from, int stride, int count)
{
    if (from < 0)
        return -1;
    const int window = unit ? from : from / stride;
    return window < count && (unit || window * stride == from) ? window : -1;
}

// `unit`: both strides are 1.
template <typename T, bool unit>
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
