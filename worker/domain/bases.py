"""Where to search when the settings do not say. Never guesses: a wrong base would read the wrong people."""

from worker.domain.failures import Misdirected
from worker.domain.presets import Preset
from worker.domain.server import RootDse


def default_bases(root: RootDse, preset: Preset | None = None) -> tuple[str, ...]:
    """Return what the server itself calls its data, or the part of it that the preset names.

    Raises Misdirected ``base.ambiguous``, ``base.unknown``: then the customer has to say.
    """
    if preset is not None and preset.is_whole_tree:
        return preset.bases_in(())
    contexts = root.data_contexts
    if not contexts:
        raise Misdirected("base.unknown", "the server does not say where its data is")
    if len(contexts) > 1:
        raise Misdirected("base.ambiguous", ", ".join(contexts))
    return preset.bases_in(contexts) if preset is not None else contexts
