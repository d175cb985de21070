"""Who is on an image and what its caption names: s and y of real and synthetic images."""
