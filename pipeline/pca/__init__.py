"""Principal component analysis: what is configured, fitted and projected."""
