"""What `memory.py` and `cuts.py` share: pages made on the fly, their server, runs that are watched, rows read back."""
