"""The version format: what one immutable release of a model is made of."""
