"""Pictures of figures, as PNG files; each module draws one kind."""
