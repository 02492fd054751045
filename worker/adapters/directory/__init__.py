"""A customer's LDAP directory: dial, forward, sign in, read pages. Only app imports it."""
