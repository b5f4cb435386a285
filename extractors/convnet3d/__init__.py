"""The 3D-ConvNet of Baccouche et al., and the person-centred cuboids that it reads."""
