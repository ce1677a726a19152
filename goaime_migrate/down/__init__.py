"""`down`: takes back what passes have changed, and says beforehand what that will do."""
