"""Running: a registration as a user means it, from configuration and files to results and their record."""
