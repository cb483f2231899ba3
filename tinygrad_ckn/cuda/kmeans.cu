// A pass of spherical k-means beside its product: the nearest centroid of each point, and the sums of the clusters.
//
// n points x (n, d) with scales (n,), which make them unit vectors; k centroids.

// nearest (n,) and cosines (n,) from similarities (n, k), the products of points and centroids: a warp takes a point,
// and of centroids that are equally near the first. Threads of a block: 32 by the points that it has.
template <typename T>
__global__ void nearest(const T* __restrict__ similarities, const T* __restrict__ scales, int* __restrict__ nearest,
                        T* __restrict__ cosines, int n, int k)
{
    const int i = blockIdx.x * blockDim.y + threadIdx.y;
    if (i >= n)
        return;  // all lanes of a warp have the same point
    const T* row = similarities + (long long)i * k;
    int best = min(int(threadIdx.x), k - 1);  // lanes beyond the centroids repeat the last
    T most = row[best];
    for (int j = threadIdx.x + 32; j < k; j += 32) {
        const T similarity = row[j];
        if (similarity > most) {
            most = similarity;
            best = j;
        }
    }
    for (int distance = 16; distance; distance /= 2) {
        const T other = __shfl_xor_sync(~0u, most, distance);
        const int its = __shfl_xor_sync(~0u, best, distance);
        if (other > most || (other == most && its < best)) {
            most = other;
            best = its;
        }
    }
    if (threadIdx.x == 0) {
        nearest[i] = best;
        cosines[i] = most * scales[i];
    }
}

// sums (segments, k, d) of the unit vectors in each cluster, over a segment of the points each. A block has one cluster
// and segment, and blockDim.x columns: it lists the points of the cluster, as many at a time as it has threads, in
// their order, and then adds them up one after another, so that a sum is always made in the same order.
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
        // The list is written again after the first barrier of the next round, the counts before it: nobody reads them.
    }
    if (col < d)
        sums[((long long)part * k + cluster) * d + col] = sum;
}
