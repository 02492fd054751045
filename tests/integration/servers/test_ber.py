"""Framing, without a server."""

from hypothesis import given, strategies as st

from tests.servers import ber


@given(sizes=st.lists(st.integers(0, 70_000), max_size=5), pieces=st.integers(1, 300))
def test_messages_are_found_however_the_stream_is_cut(sizes: list[int], pieces: int) -> None:
    """TCP keeps no boundaries: a message may come in any pieces."""
    sent = [
        ber.message(number, ber.element(0x64, b"x" * size)) for number, size in enumerate(sizes)
    ]
    stream, buffer = b"".join(sent), bytearray()
    cut = len(stream) // pieces + 1
    found = []
    for start in range(0, len(stream), cut):
        buffer += stream[start : start + cut]
        found += list(ber.split(buffer))

    assert [message.raw for message in found] == sent
    assert [message.number for message in found] == list(range(len(sizes)))
    assert {message.kind for message in found} <= {ber.Kind.ENTRY}
    assert not buffer
