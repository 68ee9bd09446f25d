"""Labels made by trained networks for pictures that have none; only what holds is kept."""
