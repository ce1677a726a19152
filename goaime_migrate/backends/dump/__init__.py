"""mongodump's file format: what stands in the files, how they are found, switched all together, and locked."""
