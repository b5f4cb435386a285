"""Names of the image networks that the papers need."""

NAMES = ("resnet50", "bn_inception", "squeezenet1_0")
"""Keys of ``extractors.backbones.registry.BACKBONES``, known without loading torch."""
