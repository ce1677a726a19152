"""`prune`: deletes what is kept to take versions back, or all that is kept of one document."""
