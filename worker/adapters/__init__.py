"""Hands without opinions: one package per outside thing, none knowing another. Only app imports them."""
