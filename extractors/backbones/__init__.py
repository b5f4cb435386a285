"""Image networks that snippets are described with, whole or in stages."""
