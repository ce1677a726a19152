"""What goaime-migrate costs beside the scripts that people write instead: `python3 dev bench`."""
