"""Split the journal and the lots into hash partitions by holder, in the first migration or while the service runs."""
