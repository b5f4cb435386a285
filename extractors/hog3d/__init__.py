"""Dense histograms of spatio-temporal gradients, and their principal components."""
