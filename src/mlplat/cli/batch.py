"""`mlplat batch`."""
