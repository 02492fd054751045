"""Postgres, the truth: pool, named queries, one transaction per outcome. Only app imports it."""
