// One pass of spherical k-means, except for its matrix product: nearest centroids and sums of the clusters.
//
// n points x (n, d) with scales (n,) that make them unit vectors; k centroids.

// Compute nearest (n,) and cosines (n,) from similarities (n, k), the products of points and centroids. Each warp
// handles one point; ties go to the first centroid. Threads of a block: (32, points per block).
template <typename T>
__global__ void nearest(const T* __restrict__ similarities, const T* __restrict__ scales, int* __restrict__ nearest,
                        T* __restrict__ cosines, int n, int k)
{
    const int i = blockIdx.x * blockDim.y + threadIdx.y;
    // All lanes of a warp have the same point, so none is left behind.
    if (i >= n)
        return;
    const T* row = similarities + (long long)i * k;
    // Lanes beyond the centroids repeat the last one.
    int best = min(int(threadIdx.x), k - 1);
    T largest = row[best];
    for (int j = threadIdx.x + 32; j < k; j += 32) {
        const T similarity = row[j];
        if (similarity > largest) {
            largest = similarity;
            best = j;
        }
    }
    for (int distance = 16; distance; distance /= 2) {
        const T other = __shfl_xor_sync(~0u, largest, distance);
        const int other_best = __shfl_xor_sync(~0u, best, distance);
        if (other > largest || (other == largest && other_best < best)) {
            largest = other;
            best = other_best;
        }
    }
    if (threadIdx.x == 0) {
        nearest[i] = best;
        cosines[i] = largest * scales[i];
    }
}

// Compute sums (segments, k, d) of the unit vectors in each cluster, separately for each segment of the points. A block
// handles one cluster, one segment and blockDim.x columns. It lists the cluster's points in order, considering as many
// at a time as it has threads, and adds them up one after another, so the order of the sum is fixed.
constexpr int THREADS = 128;

template <typename T>
__global__ void cluster_sums(const T* __restrict__ x, const T* __restrict__ scales, const int* __restrict__ nearest,
                             T* __restrict__ sums, int n, int d, int k, int segment)
{
    __shared__ int members[THREADS];
    __shared__ int counts[THREADS / 32];

    const int stripes = (d + THREADS - 1) / THREADS;
    const int col = blockIdx.x % stripes * THREADS + threadIdx.x;
    const int cluster = blockIdx.x / stripes % k, part = blockIdx.x / stripes / k;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int begin = part * segment, end = min(n, begin + segment);

    T sum = 0;
    for (int from = begin; from < end; from += THREADS) {
        const int i = from + threadIdx.x;
        const bool member = i < end && nearest[i] == cluster;
        const unsigned votes = __ballot_sync(~0u, member);
        if (lane == 0)
            counts[warp] = __popc(votes);
        __syncthreads();
        int before = 0, total = 0;
        for (int other = 0; other < THREADS / 32; ++other) {
            before += other < warp ? counts[other] : 0;
            total += counts[other];
        }
        if (member)
            members[before + __popc(votes & ((1u << lane) - 1))] = i;
        __syncthreads();
        if (col < d)
            for (int m = 0; m < total; ++m)
                sum += scales[members[m]] * x[(long long)members[m] * d + col];
        // The next round overwrites the counts, which no thread reads any more, and the list only after its barrier.
    }
    if (col < d)
        sums[((long long)part * k + cluster) * d + col] = sum;
}
