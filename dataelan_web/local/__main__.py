"""python -m dataelan_web.local [flask ARGUMENT…]"""

import sys

from .command import flask
from .directory import Refused
from .run import run


def main(arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["flask"]:
            return flask(arguments[1:])
        run()
    except Refused as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
