import sys

from .chaos import main

sys.exit(main(sys.argv[1:]))
