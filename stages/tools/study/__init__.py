"""`study`: the grid of α × balancing method × seeds, a DVC experiment a point."""
