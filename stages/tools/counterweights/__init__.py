"""`counterweights`: every lever against bias, alone and combined, at equal rows and steps, on one table."""
