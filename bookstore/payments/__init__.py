"""Payments: a demonstration provider that moves no money."""
