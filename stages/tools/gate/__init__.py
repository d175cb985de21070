"""`gate`: what a change must not make worse."""
