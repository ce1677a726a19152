"""Several processes for one run: who starts them, what is said between them, and what each of them does."""
