"""`untrained study`, `untrained studies`, `untrained reproduce`. Parse, call, print."""
