"""Books on sale."""
