"""What `up` and `down` share: the lock, guarded units of work, partitions, pacing, the collector."""
