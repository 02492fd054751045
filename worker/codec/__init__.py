"""The edge: bytes to commands, events to bytes, and the JSON Schemas that promise both.

``app``, the adapters and the spines may import it; it imports the domain only. It decides what is well-formed,
never what is allowed, and fills in nothing that the contract does not name as a default.
"""
