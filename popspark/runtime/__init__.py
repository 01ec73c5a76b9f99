"""What every job stands on: errors, configuration, command line, logs, session."""
