"""Features of skeleton sequences: positions, angles, offsets, velocities and distances of joints."""
