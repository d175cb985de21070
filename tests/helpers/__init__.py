"""What several test modules share: small projects, models, pictures and problems."""
