"""python -m dataelan_web.local [flask ARGUMENT…]"""

import errno
import sys

from .command import flask
from .directory import Refused
from .run import run

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""A full disk, one that is only read, and somebody else's: met at any step of a start."""


def main(arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["flask"]:
            return flask(arguments[1:])
        run()
    except Refused as reason:
        print(reason, file=sys.stderr)
        return 1
    except OSError as problem:
        if problem.errno not in UNWRITABLE:
            raise
        print(f"Dataelan cannot write what it has to: {problem}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
