"""Image networks whose pooled features describe snippets; some of them run stage by stage."""
