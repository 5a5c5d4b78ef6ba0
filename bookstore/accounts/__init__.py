"""People: registration, log-in, sessions."""
