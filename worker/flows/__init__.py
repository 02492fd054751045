"""The short spines. May import ports, codec and the domain; only app calls them."""
