"""The verbs over rows: they know the call, and never JSON."""
