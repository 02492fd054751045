"""The command line: arguments in, an answer on standard output, an exit code out. Builds no adapter, holds no rule.

    rollcall preview      read a directory and show what would be valid; needs nothing but the directory
    rollcall check        go through it stage by stage and say what to mend; the same
    rollcall run          the worker
    rollcall scheduler    the scheduler alone, which every worker is too
    rollcall migrate      bring the database to this release's schema
    rollcall sync         ask for a sync of a stored directory and wait for its outcome; needs no broker
    rollcall history      runs, and what became of addresses
    rollcall status       directories, what runs, what waits
    rollcall why          why an address is valid or not, and what happens next
    rollcall keys         generate | show-public | rotate
    rollcall settings     every setting with its default

Answers go to standard output as tables, with ``--json`` for programs; progress (on a terminal only) and refusals go
to standard error. Exit codes are the same everywhere (``exits``): 0 done; 1 the answer is no: a finding, a held or
failed run, an address that is not valid; 2 wrong usage or settings; 3 a server of ours is away.

A password is never an argument: anybody on the machine can read those. It comes from ``--password-file``,
``--password-stdin``, the form given by ``--file``, ``ROLLCALL_PASSWORD``, or it is asked for on a terminal.

Only ``worker.__main__`` imports this package.
"""

from worker.cli.main import app


__all__ = ["app"]
