"""``python -m worker`` and the ``rollcall`` command."""
