"""Whether camera and model can be trusted now, without labels: see docs/self_check.md."""
