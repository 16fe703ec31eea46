"""What a person opens in a browser: one page about the version that serves, and the drift report behind it."""

from mlplat.serve.pages.routes import page_routes

__all__ = ["page_routes"]
