"""Entry point of the server from which workers are forked: what it imports, they need not."""

from tasks.runtime.start import start

start()
