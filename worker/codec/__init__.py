"""The edge: bytes to commands, events to bytes, and the JSON Schemas that promise both.

``app``, the adapters and the spines may import it; it imports the domain only. It decides what is well-formed,
never what is allowed, and fills in nothing that the contract does not name as a default. Its parts: ``inbound``
(a delivery to a command or all its mistakes), ``stored`` (commands and settings in the database), ``outbound``
(events to CloudEvents), the forms and payloads, and ``schemas``, made from both.
"""

from worker.codec.inbound import decode, read_form
from worker.codec.outbound import Stamp, message_type, render, render_data, render_raw
from worker.codec.stored import (
    decode_command,
    dump_settings,
    encode_command,
    load_or_blank,
    load_settings,
)


__all__ = [
    "Stamp",
    "decode",
    "decode_command",
    "dump_settings",
    "encode_command",
    "load_or_blank",
    "load_settings",
    "message_type",
    "read_form",
    "render",
    "render_data",
    "render_raw",
]
