"""Measures of predictions against labels, with intervals: arrays in, numbers out."""
