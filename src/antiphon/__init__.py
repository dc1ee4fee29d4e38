"""Antiphon gives any language model a memory."""
