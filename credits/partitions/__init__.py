"""Cut the journal and the lots into hash partitions by holder: at the first migration, or while the service runs."""
