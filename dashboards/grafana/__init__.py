"""Grafana's dashboards, made by code from the settings: `catalog` has them all, a file each says what is on it."""
