"""Purchases: reserved, paid, expired."""
