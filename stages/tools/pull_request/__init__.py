"""`pull_request`: what a change does, in a comment that one reads in ten seconds."""
