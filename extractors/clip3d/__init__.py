"""Features of windows by torchvision's video networks, which were trained on Kinetics-400."""
