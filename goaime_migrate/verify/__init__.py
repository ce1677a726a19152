"""`verify`: the promises of the applied versions, checked again over documents."""
