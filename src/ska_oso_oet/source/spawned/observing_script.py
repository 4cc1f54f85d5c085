"""This module has the script's name in a program that multiprocessing has started for the script.

Such a program has loaded the script as `__mp_main__`. What it gets to call comes by the name that the script
has in its own process, which is this one's.
"""

import sys

sys.modules[__name__] = sys.modules["__mp_main__"]
