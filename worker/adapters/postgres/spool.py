"""The snapshot between pages and comparison: in memory while small, in an unlinked file beyond."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile


MEMORY_BYTES = 4 * 1024 * 1024
"""Per run; a directory of some 20,000 addresses stays in memory."""


class FileSpool:
    """The Spool port over a temporary file that no other process can name."""

    def __init__(self, file: "SpooledTemporaryFile[bytes]") -> None:
        self._file = file

    def add(self, rows: bytes) -> None:
        """Append; a write of some 60 KiB a page to the page cache takes microseconds."""
        self._file.write(rows)

    def read(self, size: int = -1) -> bytes:
        """Read on; asyncpg reads it as it copies."""
        return self._file.read(size)

    def rewind(self) -> None:
        """Read from the start, also a second time when the final transaction is tried again."""
        self._file.seek(0)


@contextmanager
def open_spool(folder: Path | None = None) -> Iterator[FileSpool]:
    """Give an empty spool; its bytes are gone when the context ends."""
    with SpooledTemporaryFile(max_size=MEMORY_BYTES, dir=str(folder) if folder else None) as file:
        yield FileSpool(file)
