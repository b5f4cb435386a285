"""C3D: features of clips of sixteen frames."""
