from tests.servers.daemon import free_port


def test_no_port_is_given_twice() -> None:
    """A server with two listeners asks for two ports before it takes either."""
    ports = [free_port() for _ in range(2000)]

    assert len(set(ports)) == len(ports)
