"""Several processes and threads for one run: who starts them, what is said between them, and what each of them does."""
