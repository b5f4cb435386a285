"""Entry point of the server from which workers are forked: what it imports, they need not."""

import gc

from tasks.runtime.start import start

start()
# A collection in a worker would write to all that was imported before the fork, and so copy it: a third of a second.
gc.freeze()
