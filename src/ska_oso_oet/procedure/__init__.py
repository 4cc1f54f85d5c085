"""Procedures are runs of scripts; this package has their rules, and the service that runs them."""
