"""What is known of a search base that the server says is not there: whether it surely is not, and what there is instead.

A server's words are looked at, and only what can stand on a page is told on.
"""

from collections.abc import Iterator

from worker.domain.detect import is_fit_to_show
from worker.domain.failures import BaseAsked
from worker.domain.plan import ReadPlan
from worker.domain.server import RootDse, ServerType
from worker.domain.survey import listed
from worker.domain.syntax import normal_dn, split_dn


OPEN = frozenset({ServerType.DS389, ServerType.FREEIPA})
"""Servers that answer success without the entry where one may not see it (seen with 389-DS 2.3)."""
TELLING = frozenset({ServerType.OPENLDAP, ServerType.ZIMBRA, ServerType.UCS, ServerType.IREDMAIL})
"""Servers that name the part that is there only if the rest is not there; of what is hidden they name nothing (OpenLDAP 2.5)."""
TREES_SHOWN_COUNT = 10


def is_certain(asked: BaseAsked | None, types: frozenset[ServerType]) -> bool:
    """Whether the base is wrong for sure, so that no right could mend it."""
    if asked is None:
        return False
    is_told = types <= TELLING and _existing(asked) is not None
    return types <= OPEN or is_told or _is_elsewhere(asked)


def seen_of(asked: BaseAsked, plan: ReadPlan | None = None) -> str:
    """Say which base it was, where that is not plain, how far it is right, and which trees the server names as its own."""
    return "; ".join([*_named(asked, plan), *_seen(asked)])


def _named(asked: BaseAsked, plan: ReadPlan | None) -> Iterator[str]:
    if plan is None or (len(plan.bases) == 1 and _existing(asked) is not None):
        return
    is_named = bool(normal_dn(asked.base)) and is_fit_to_show(asked.base)
    if not plan.bases and (is_named or not asked.base):
        where = asked.base or "the root of the tree"
        yield f"left blank, the search base of the type {plan.preset.name} is {where}"
    elif is_named:
        yield f"the server shows no {asked.base}"


def _seen(asked: BaseAsked) -> Iterator[str]:
    existing, parts = _existing(asked), split_dn(asked.base)
    if existing is not None:
        is_there, is_not = ",".join(parts[-existing:]), parts[-existing - 1]
        yield f"the server has {is_there}, and shows no {is_not} in it"
    trees = [each for each in asked.root.data_contexts if normal_dn(each) and is_fit_to_show(each)]
    if trees and (existing is None or _is_elsewhere(asked)):
        yield f"the server's entries are in {listed(trees[:TREES_SHOWN_COUNT])}"


def _existing(asked: BaseAsked) -> int | None:
    """Return how many parts of the base there are by the server's words, some but not all; None if it names none."""
    base, matched = normal_dn(asked.base), normal_dn(asked.matched)
    is_above = base and matched and len(matched) < len(base) and base[-len(matched) :] == matched
    return len(matched) if matched and is_above else None


def _is_elsewhere(asked: BaseAsked) -> bool:
    """Whether the server names its trees, and the base lies in none of them."""
    base, trees = normal_dn(asked.base), _trees(asked.root)
    return bool(base and trees) and not any((base or ())[-len(tree) :] == tree for tree in trees)


def _trees(root: RootDse) -> list[tuple[object, ...]]:
    named = map(normal_dn, filter(None, (root.default_context, *root.contexts)))
    return [tree for tree in named if tree]
