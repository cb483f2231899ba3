// The map of a CKN layer except products, pooling and transform: norms of patches, kappa, and their gradients.
//
// Images x (n, channels, h, w), patches of kh x kw taps at the ho x wo positions, padding top, left before the image;
// maps (n, p, length), length = ho * wo. A block of threads is 32 positions by SHARES. Neighbouring threads have
// neighbouring positions, so all reads and writes are coalesced. Threads of one position share its channels or
// filters and sum over them in a fixed order.

constexpr int SHARES = 8;

// Each struct is a kappa, a function of v = scale u + shift, with its derivative in v, given the value. A kernel refers
// to it by an `ops.kappa.DeviceFunction`. `order` is the degree of a polynomial or the order of a Matern kernel. NaN
// stays NaN: min and max would drop it.

template <typename T>
__device__ T power(T v, int degree)
{
    T y = 1;
    for (; degree; degree >>= 1, v *= v)
        if (degree & 1)
            y *= v;
    return y;
}

template <typename T>
struct Exponential {
    int order;
    __device__ T value(T v) const { return exp(v); }
    __device__ T slope(T v, T value) const { return value; }
};

template <typename T>
struct Polynomial {
    int order;
    __device__ T value(T v) const { return power(v, order); }
    __device__ T slope(T v, T value) const { return order * power(v, order - 1); }
};

template <typename T>
struct InversePolynomial {
    int order;
    __device__ T value(T v) const { return 1 / (2 - v); }
    __device__ T slope(T v, T value) const { return value * value; }
};

template <typename T>
__device__ T pi()
{
    return T(3.14159265358979323846);
}

template <typename T>
__device__ T clipped(T v)  // a cosine, which rounding may make larger than 1
{
    return v > 1 ? T(1) : v < -1 ? T(-1) : v;
}

template <typename T>
struct Arccos0 {
    int order;
    __device__ T value(T v) const { return 1 - acos(clipped(v)) / pi<T>(); }
    __device__ T slope(T v, T value) const { return fabs(v) < 1 ? 1 / (pi<T>() * sqrt((1 - v) * (1 + v))) : T(0); }
};

template <typename T>
struct Arccos1 {
    int order;
    __device__ T value(T v) const
    {
        v = clipped(v);
        return (v * (pi<T>() - acos(v)) + sqrt((1 - v) * (1 + v))) / pi<T>();
    }
    __device__ T slope(T v, T value) const { return Arccos0<T>{}.value(v); }
};

template <typename T>
struct Matern {  // v is the square of the scaled distance
    int order;
    __device__ static T at(T s, int order)
    {
        const T decay = exp(-s);
        return order == 0 ? decay : order == 1 ? decay * (1 + s) : decay * (1 + s + s * s / 3);
    }
    __device__ static T distance(T v) { return sqrt(v < 0 ? T(0) : v); }
    __device__ T value(T v) const { return at(distance(v), order); }
    __device__ T slope(T v, T value) const
    {
        const T s = distance(v);
        if (order)
            return at(s, order - 1) * (T(-0.5) / (2 * order - 1));
        return s > 0 ? T(-0.5) * value / s : T(0);
    }
};

// The sum of `part` over the threads of one position; all threads of the block must call it.
template <typename T>
__device__ T sum_of_position(T part)
{
    __shared__ T parts[SHARES][32];
    parts[threadIdx.y][threadIdx.x] = part;
    __syncthreads();
    T sum = 0;
    for (int i = 0; i < SHARES; ++i)
        sum += parts[i][threadIdx.x];
    return sum;
}

// Norms (n, h, w) of pixels: roots of the squares, summed over channels in double, in which those of float neither
// overflow nor underflow.
template <typename T>
__global__ void squares(const T* __restrict__ x, T* __restrict__ squares, int pixels, int channels, int area)
{
    const int i = blockIdx.x * 32 + threadIdx.x;
    double part = 0;
    if (i < pixels) {
        const T* pixel = x + (long long)(i / area) * channels * area + i % area;
        for (int c = threadIdx.y; c < channels; c += SHARES)
            part += double(pixel[c * area]) * pixel[c * area];
    }
    const double sum = sum_of_position(part);
    if (i < pixels && threadIdx.y == 0)
        squares[i] = T(sqrt(sum));
}

// norms (n, ho, wo) of patches and their inverses, from those of pixels: 0 and 0 if the square is at most `threshold`.
template <typename T>
__global__ void norms(const T* __restrict__ squares, T* __restrict__ norms, T* __restrict__ inverses, int positions,
                      double threshold, int kh, int kw, int top, int left, int h, int w, int ho, int wo)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= positions)
        return;
    const int length = ho * wo, at = i % length;
    const int y0 = at / wo - top, x0 = at % wo - left;
    const T* image = squares + (long long)(i / length) * h * w;
    double sum = 0;
    for (int row = max(0, y0); row < min(h, y0 + kh); ++row)
        for (int col = max(0, x0); col < min(w, x0 + kw); ++col)
            sum += double(image[row * w + col]) * image[row * w + col];
    const bool zero = sum <= threshold;
    const T norm = T(sqrt(sum));
    norms[i] = zero ? T(0) : norm;
    inverses[i] = zero ? T(0) : 1 / norm;
}

// y = |x| kappa(scale <z, x> / |x| + shift), given the products <z, x>; y may be the same array. 0 for a zero patch.
template <typename T, typename Kappa>
__global__ void map(const T* products, const T* __restrict__ norms, const T* __restrict__ inverses, T* y,
                    int positions, int p, int length, int order, double scale, double shift)
{
    const Kappa kappa{order};
    const int i = blockIdx.x * 32 + threadIdx.x;
    if (i >= positions)
        return;
    const T norm = norms[i], factor = T(scale) * inverses[i];
    const long long at = (long long)(i / length) * p * length + i % length;
    for (int f = threadIdx.y; f < p; f += SHARES)
        y[at + f * length] = norm * kappa.value(products[at + f * length] * factor + T(shift));
}

// From the gradient g of y, that of the products, written over g, and that of the squared norms,
//     d <z, x> = g kappa'(v) scale,    d |x|^2 = sum over filters of (g kappa(v) - d <z, x> <z, x> / |x|) / (2 |x|);
// both 0 for a zero patch.
template <typename T, typename Kappa>
__global__ void map_vjp(const T* __restrict__ products, const T* __restrict__ norms, const T* __restrict__ inverses,
                        T* __restrict__ g, T* __restrict__ dsquares, int positions, int p, int length, int order,
                        double scale, double shift)
{
    const Kappa kappa{order};
    const int i = blockIdx.x * 32 + threadIdx.x;
    const bool inside = i < positions;
    const T inverse = inside ? inverses[i] : T(0);
    const bool zero = !inside || norms[i] == 0;
    T part = 0;
    if (inside) {
        const long long at = (long long)(i / length) * p * length + i % length;
        for (int f = threadIdx.y; f < p; f += SHARES) {
            const T cosine = products[at + f * length] * inverse, above = g[at + f * length];
            const T v = T(scale) * cosine + T(shift), value = kappa.value(v);
            const T dcosine = zero ? T(0) : T(scale) * above * kappa.slope(v, value);
            g[at + f * length] = dcosine;
            part += zero ? T(0) : above * value - dcosine * cosine;
        }
    }
    const T sum = sum_of_position(part);
    if (inside && threadIdx.y == 0)
        dsquares[i] = T(0.5) * inverse * sum;
}

// Add to dx the gradient by the squared norms: 2 x times the sum of dsquares over the patches that contain the pixel.
template <typename T>
__global__ void add_squares(const T* __restrict__ x, const T* __restrict__ dsquares, T* __restrict__ dx, int pixels,
                            int channels, int kh, int kw, int top, int left, int h, int w, int ho, int wo)
{
    const int i = blockIdx.x * 32 + threadIdx.x;
    if (i >= pixels || threadIdx.y >= channels)
        return;
    const int area = h * w, at = i % area;
    const int y1 = at / w + top, x1 = at % w + left;  // the last position whose patch contains the pixel
    const T* map = dsquares + (long long)(i / area) * ho * wo;
    T sum = 0;
    for (int row = max(0, y1 - kh + 1); row <= min(ho - 1, y1); ++row)
        for (int col = max(0, x1 - kw + 1); col <= min(wo - 1, x1); ++col)
            sum += map[row * wo + col];
    const long long first = (long long)(i / area) * channels * area + at;
    for (int c = threadIdx.y; c < channels; c += SHARES)
        dx[first + c * area] += 2 * x[first + c * area] * sum;
}
