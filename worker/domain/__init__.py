"""Pure decisions and the words they are made in. Every room may import it; it imports none of them."""
