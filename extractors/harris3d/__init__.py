"""Space-time interest points, each with a histogram of the optical flow around it."""
