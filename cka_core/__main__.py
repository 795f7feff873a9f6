"""``python -m cka_core``"""

import sys

if __name__ == "__main__":
    try:  # the imports, too, which take longest where a command was mistyped
        from cka_core.cli import main

        main()
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
