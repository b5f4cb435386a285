"""Networks of other libraries, by names such as "torchvision:resnet18.IMAGENET1K_V1"."""
