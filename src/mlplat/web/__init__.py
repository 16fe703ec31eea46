"""What every HTTP server of ours has: where it listens, the key of a request, the page of its routes, and how pages look."""
