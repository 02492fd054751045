"""Rollcall: keeps a mail filter's list of valid recipients true to the customer's own directory."""
