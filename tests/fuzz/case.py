"""One fault: something the worker did with spoiled bytes that it must not do."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, with the bytes that show it."""

    about: str
    what: str
    parts: tuple[bytes, ...]

    def save(self, folder: Path) -> Path:
        """Keep the bytes, one line of hexadecimal for each part."""
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{part.hex()}\n" for part in self.parts)
        path = folder / f"{self.about}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.hex"
        path.write_text(f"# {self.what}\n{text}", encoding="ascii", errors="replace")
        return path


def saved(path: Path) -> tuple[bytes, ...]:
    """The parts of a saved fault."""
    lines = path.read_text(encoding="ascii").splitlines()
    return tuple(bytes.fromhex(line) for line in lines if not line.startswith("#"))
