"""`compare`: many runs on one page."""
