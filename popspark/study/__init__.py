"""Every model of the VSCNN paper on every feature set: fits, facts, tables, figures, page."""
