"""Makes folders that run a model elsewhere, without toolkit, and proves each by running it."""
