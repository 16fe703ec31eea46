"""What every HTTP server of ours has: where it listens, the key that a request brings, the page of its routes."""
