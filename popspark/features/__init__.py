"""Image features: the families, the plan of a run, their extraction, and the one door to them."""
