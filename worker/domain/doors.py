"""What the ports that were seen of a server leave to be done, where the one in the settings does not encrypt.

Says it in a sentence. Advises nobody to give up encryption.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from worker.domain.survey import TLS_PORTS, PortSeen, PortState, ServerSeen, Speech, listed


_SHUT: Mapping[PortState, str] = MappingProxyType(
    {
        PortState.OPEN: "speaks no TLS",
        PortState.REFUSED: "refused the connection",
        PortState.TIMED_OUT: "did not answer",
        PortState.RESET: "cut the connection",
        PortState.UNROUTABLE: "cannot be reached",
    }
)


def tls_door(servers: Sequence[ServerSeen]) -> PortSeen | None:
    """Return another port than the configured one that speaks TLS from the start."""
    return next((port for port in _others(servers) if port.speaks is Speech.TLS), None)


def starttls_door(servers: Sequence[ServerSeen]) -> PortSeen | None:
    """Return another port than the configured one that offers STARTTLS."""
    return next((port for port in _others(servers) if port.starttls), None)


def way_to_encryption(servers: Sequence[ServerSeen]) -> str | None:
    """Say how to encrypt at the first server whose configured port answered without TLS; None if none was seen."""
    for server in servers:
        mine = next((port for port in server.ports if port.configured), None)
        if mine is not None and mine.speaks in {Speech.LDAP, Speech.OTHER}:
            return _way(mine, [server])
    return None


def _way(mine: PortSeen, servers: Sequence[ServerSeen]) -> str:
    door, seen = tls_door(servers), _seen(servers)
    if door is not None and mine.starttls:
        return f"Use port {door.port} with LDAPS, or choose STARTTLS for port {mine.port}."
    if door is not None:
        return f"Use port {door.port} with LDAPS."
    if mine.starttls:
        return f"Choose STARTTLS for port {mine.port}, which offers it{seen and f'; {seen}'}."
    if mine.speaks is Speech.OTHER:
        return f"Enter the port of the directory service: what answers on port {mine.port} speaks no LDAP{seen and f', and {seen}'}."
    return (
        f"Install a certificate on the server: port {mine.port} offers no STARTTLS{seen and f', and {seen}'}. "
        "Then choose STARTTLS for that port, or LDAPS with port 636."
    )


def _seen(servers: Sequence[ServerSeen]) -> str:
    """Say what became of the ports for TLS, which will not do either."""
    shut = {port.port: _SHUT[port.state] for port in _others(servers) if port.port in TLS_PORTS}
    alike = {
        state: [str(port) for port in sorted(shut) if shut[port] == state]
        for state in shut.values()
    }
    return listed(
        [
            f"{'port' if len(ports) == 1 else 'ports'} {listed(ports)} {state}"
            for state, ports in alike.items()
        ]
    )


def _others(servers: Sequence[ServerSeen]) -> list[PortSeen]:
    return [port for server in servers for port in server.ports if not port.configured]
