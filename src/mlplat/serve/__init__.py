"""The serving process: one version, over HTTP."""
