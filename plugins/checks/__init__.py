"""What the preflight actions share."""
