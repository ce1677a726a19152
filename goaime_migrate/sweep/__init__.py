"""`sweep`: the applied transforms once more, on documents that were written in an old shape since."""
