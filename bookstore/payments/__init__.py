"""Payments: at once by a simulated provider, later by bank transfer or cash, by card through a gateway."""
