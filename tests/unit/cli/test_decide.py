"""What a person is told of what became of a decision."""

import pytest

from worker.cli.decide import approved_words, undone_logins


STAYS = "its address stays, and its mail goes on."
STAY = "their addresses stay, and their mail goes on."


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((1, 1, 0), ["1 approved; it is in grace now: its mail is put off, then refused."]),
        ((1, 0, 0), ["1 approved; it was in grace before, or another source holds it."]),
        (
            (20, 19, 0),
            ["20 approved; 19 of them are in grace now: their mail is put off, then refused."],
        ),
        ((0, 0, 1), [f"1 quarantine login is deactivated; {STAYS}"]),
        ((0, 0, 20), [f"20 quarantine logins are deactivated; {STAY}"]),
        ((0, 0, 0), ["Nothing leaves: all of it came back, or nobody is removed here."]),
    ],
)
def test_an_approval_tells_addresses_from_logins(
    counts: tuple[int, int, int], said: list[str]
) -> None:
    """Nobody reads that mail stops where only a login ends."""
    assert approved_words(*counts) == said


def test_an_approval_of_both_tells_both() -> None:
    """One line each."""
    assert len(approved_words(2, 2, 1)) == 2


def test_an_undo_names_what_it_did_to_logins_and_nothing_else() -> None:
    """Most undos touch none."""
    counts = {"reactivated": 2, "deactivated": 0, "renamed": 1}

    assert undone_logins(counts) == ["Quarantine logins: 2 reactivated, 1 renamed."]
    assert undone_logins(dict.fromkeys(counts, 0)) == []
