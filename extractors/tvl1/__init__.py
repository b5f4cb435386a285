"""TV-L1 optical flow, on the CPU and on CUDA."""
