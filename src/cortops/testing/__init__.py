"""Shipped fakes and harnesses; may import all, nothing imports it."""
