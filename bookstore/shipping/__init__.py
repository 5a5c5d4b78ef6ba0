"""Delivery of what was bought."""
