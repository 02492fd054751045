"""What the spines need of the world, as Protocols in domain types. No driver, cursor or channel is named here.

One module a neighbour; spines, adapters and whoever wires them import from these.
"""
