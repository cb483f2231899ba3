"""CPU algorithms for correlate2d: unfold, Winograd, Toeplitz, FFT, direct; `dispatch` chooses."""
