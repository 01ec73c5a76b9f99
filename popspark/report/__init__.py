"""Tables, figures and pages for a person to read."""
