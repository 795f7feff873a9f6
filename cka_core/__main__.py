"""``python -m cka_core``"""

from cka_core.cli import main

if __name__ == "__main__":
    main()
